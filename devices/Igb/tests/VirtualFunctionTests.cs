using Vfio.Abi;
using Vfio.TestUtilities;
using Xunit;

namespace Vfio.Devices.Igb.Tests;

public sealed class VirtualFunctionTests : IAsyncLifetime
{
    private const uint MultipleVectors = 0x4000_0011;
    private static readonly Guid s_token = Guid.Parse("83b8f4f2-509f-382f-3c1e-e6bfe0fa1001");
    private readonly VfioHost _host = new();
    private readonly Recorder _link = new();
    private IgbDevice? _device;
    private VfioDevice? _function;
    private LocalConnection? _physical;
    private LocalConnection? _virtual;

    public ValueTask InitializeAsync()
    {
        _device = _host.Allocate(() => new IgbDevice(new IgbOptions { Backend = () => _link, Address = Nic.AddressOf(1) }));
        _ = _host.RegisterEmulatedIommuDevice(_device, "pf");
        _physical = LocalConnection.Open(_host, "pf", s_token);
        Assert.Equal(Errno.None, _device.TrySetVirtualFunctions(1));
        _function = _host.Allocate(() => _device.VirtualFunctionSet!.Create(0));
        _ = _host.RegisterEmulatedIommuDevice(_function, "vf");
        _virtual = LocalConnection.Open(_host, "vf", s_token);
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        await _virtual!.DisposeAsync();
        await _physical!.DisposeAsync();
        await _host.DisposeAsync();
        _function!.Put();
        _device!.Put();
    }

    [Fact]
    public void Capability_says_what_there_is()
    {
        VfioRegion config = _physical!.Config;
        Assert.Equal(0x0010U, config.Read32(0x160) & 0xFFFF);
        Assert.Equal(0x0008_0008U, config.Read32(0x16C));
        Assert.Equal(1, config.Read16(0x170));
        Assert.Equal(9, config.Read16(0x168));
        Assert.Equal(0x0002_0180U, config.Read32(0x174));
        Assert.Equal(0x10CA, config.Read16(0x17A));
        Assert.Equal(0x10CA_8086U, _virtual!.Config.Read32(0));
        config.Write16(0x170, 5);
        Assert.Equal(1, config.Read16(0x170));
        Assert.Equal(0x0004_4000U, _physical.Bar(0).Read32(8) & 0x0007_C000);
        Assert.Equal(Errno.EBUSY, _device!.TrySetVirtualFunctions(2));
        Assert.Equal(Errno.ERANGE, _device.TrySetVirtualFunctions(9));
        Assert.Equal(Errno.None, _device.TrySetVirtualFunctions(1));
    }

    [Fact]
    public void Mail_goes_both_ways_and_interrupts()
    {
        VfioRegion physical = _physical!.Bar(0);
        VfioRegion function = _virtual!.Bar(0);
        using InterruptSet physicalVectors = _physical.EnableInterrupts(PciInterrupt.Msix, 1);
        using InterruptSet vectors = _virtual.EnableInterrupts(PciInterrupt.Msix, 3);
        physical.Write32(0x1514, MultipleVectors);
        physical.Write32(0x1740, 0x8000);
        physical.Write32(0x1524, 1);
        physical.Write32(0x1508, 0x100);
        function.Write32(0x1740, 0x82);
        function.Write32(0x1524, 4);

        // The physical function is ready.
        Assert.Equal(0x40U, function.Read32(0xC40));
        physical.Write32(0x18, 1 << 14);
        Assert.Equal(0x80U, function.Read32(0xC40));
        Assert.Equal(0U, function.Read32(0xC40));

        function.Write32(0xC40, 4);
        Assert.Equal(4U, function.Read32(0xC40));
        physical.Write32(0xC00, 8);
        Assert.Equal(4U, physical.Read32(0xC00));
        function.Write32(0x804, 0x1234);
        function.Write32(0xC40, 1);
        Assert.True(physicalVectors[0].Wait(Nic.Patience));
        Assert.Equal(0x100U, physical.Read32(0xC0) & 0x100);
        Assert.Equal(1U, physical.Read32(0xC80));
        physical.Write32(0xC80, 1);
        Assert.Equal(0U, physical.Read32(0xC80));
        Assert.Equal(0x1234U, physical.Read32(0x804));

        physical.Write32(0xC00, 8);
        Assert.Equal(8U, physical.Read32(0xC00));
        physical.Write32(0x800, 0x5678);
        physical.Write32(0xC00, 3);
        Assert.True(vectors[2].Wait(Nic.Patience));
        Assert.Equal(0x30U, function.Read32(0xC40));
        Assert.Equal(0x5678U, function.Read32(0x800));
    }

    [Fact]
    public void Packets_find_the_pool_that_they_are_for()
    {
        using InterruptSet vectors = _virtual!.EnableInterrupts(PciInterrupt.Msix, 3);
        using Nic physical = StartPhysical();
        using Nic function = StartFunction();
        VfioRegion registers = _virtual.Bar(0);
        registers.Write32(0x1700, 0x81);
        registers.Write32(0x152C, 2);
        registers.Write32(0x1524, 2);

        // From the link, each by its address.
        byte[] frame = Nic.Frame(100, Nic.AddressOf(2));
        _link.Sink!.Receive(frame);
        Assert.Equal(frame, function.Receive().Data);
        Assert.True(vectors[1].Wait(Nic.Patience));
        frame = Nic.Frame(101, Nic.AddressOf(1));
        _link.Sink.Receive(frame);
        Assert.Equal(frame, physical.Receive().Data);

        // From the function to the physical one: inside. To a stranger: out. To all: both, but not back.
        frame = Nic.Frame(102, Nic.AddressOf(1));
        function.Send(frame);
        Received received = physical.Receive();
        Assert.Equal(frame, received.Data);
        Assert.Equal(1U << 18, received.Status & (1U << 18));
        Assert.Empty(_link.Frames);
        frame = Nic.Frame(103, Nic.AddressOf(7));
        function.Send(frame);
        Nic.WaitFor(() => _link.Frames.Count == 1);
        frame = Nic.Frame(104, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
        function.Send(frame);
        Assert.Equal(frame, physical.Receive().Data);
        Nic.WaitFor(() => _link.Frames.Count == 2);
        frame = Nic.Frame(105, Nic.AddressOf(2));
        physical.Send(frame);
        Assert.Equal(frame, function.Receive().Data);
        Assert.Equal(2, _link.Frames.Count);
        Assert.Equal(2U, registers.Read32(0xF10));
        Assert.Equal(3U, registers.Read32(0xF14));
    }

    [Fact]
    public void Spoofed_packets_are_dropped_and_told()
    {
        using Nic physical = StartPhysical();
        using Nic function = StartFunction();
        _physical!.Bar(0).Write32(0x3500, 1U << 31 | 1);

        // Its frames come from address 8, which is not its own.
        function.Send(Nic.Frame(100, Nic.AddressOf(1)));

        Assert.Equal(1U, _physical.Bar(0).Read32(0x3554));
        Assert.Equal(0U, _virtual!.Bar(0).Read32(0xF14));
        Assert.Empty(_link.Frames);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Reset_of_a_function_stops_its_queues_and_is_told(bool byClose)
    {
        VfioRegion physical = _physical!.Bar(0);
        using Nic other = StartPhysical();
        using Nic function = StartFunction();
        if (byClose)
        {
            await _virtual!.DisposeAsync();
        }
        else
        {
            _virtual!.Bar(0).Write32(0, 1U << 26);
        }

        Assert.Equal(1U, physical.Read32(0xC88));
        Assert.Equal(2U, physical.Read32(0xC8C));
        Assert.Equal(2U, physical.Read32(0xC90));
        Assert.Equal(0U, physical.Read32(0x2828));
        Assert.Equal(0U, physical.Read32(0x2808));
        physical.Write32(0xC88, 1);
        Assert.Equal(0U, physical.Read32(0xC88));

        // What comes for it is lost, and holds up nobody.
        _link.Sink!.Receive(Nic.Frame(100, Nic.AddressOf(2)));
        byte[] frame = Nic.Frame(101, Nic.AddressOf(1));
        _link.Sink.Receive(frame);
        Assert.Equal(frame, other.Receive().Data);
    }

    [Fact]
    public void Physical_function_with_virtual_ones_does_not_migrate()
    {
        Assert.Equal(Errno.EBUSY, _physical!.TrySetMigrationState(MigrationState.StopCopy));
        Assert.Equal(Errno.None, _physical.TryGetMigrationState(out MigrationState state));
        Assert.Equal(MigrationState.Running, state);
    }

    /// <summary>The physical function's driver: pool 1 is its own, and address n that of the function n - 1.</summary>
    private Nic StartPhysical()
    {
        VfioRegion bar = _physical!.Bar(0);
        bar.Write32(0x5818, 3);
        bar.Write32(0x581C, (1U << 30) | (1 << 7) | (1U << 29));
        bar.Write32(0x3500, 1U << 31);
        for (uint pool = 0; pool < 2; pool++)
        {
            bar.Write32(0x5AD0 + (4 * pool), 0x8900_0000 | 0x2600);
            bar.Write32(0x5400 + (8 * pool), 0x5452);
            bar.Write32(0x5404 + (8 * pool), 0x8000_0000 | ((2U >> (int)pool) << 18) | ((pool + 1) << 8));
        }

        bar.Write32(0xC8C, 3);
        bar.Write32(0xC90, 3);
        var nic = new Nic(_physical, queue: 1);
        nic.Start(0);
        nic.Supply(8);
        return nic;
    }

    private Nic StartFunction()
    {
        var nic = new Nic(_virtual!, iova: 0x200_0000);
        nic.Start(0);
        nic.Supply(8);
        return nic;
    }

    /// <summary>A link that keeps what is sent.</summary>
    private sealed class Recorder : IPacketBackend
    {
        private readonly Lock _lock = new();
        private readonly List<byte[]> _frames = [];

        public IPacketSink? Sink { get; private set; }

        public bool IsUp => true;

        public IReadOnlyList<byte[]> Frames
        {
            get
            {
                lock (_lock)
                {
                    return [.. _frames];
                }
            }
        }

        public void Start(IPacketSink sink) => Sink = sink;

        public void Send(ReadOnlySpan<byte> frame)
        {
            lock (_lock)
            {
                _frames.Add(frame.ToArray());
            }
        }

        public void Dispose()
        {
        }
    }
}

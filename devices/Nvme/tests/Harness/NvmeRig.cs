using Vfio.Testing;
using Vfio.User;

namespace Vfio.Devices.Nvme.Tests.Harness;

/// <summary>A controller and a host that builds every entry by hand.</summary>
internal sealed class NvmeRig : IAsyncDisposable
{
    public const uint Cc = 0x14;
    public const uint Csts = 0x1C;
    public const uint EnabledConfiguration = 0x0046_0001;

    private const ulong LargestPage = 64 * 1024;
    private const int DataLength = 2 << 20;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);
    private readonly List<DmaBuffer> _buffers = [];
    private readonly DevicePair<NvmeDevice>? _pair;
    private ulong _nextIova = 0x1000_0000;

    public NvmeRig(
        NvmeOptions? options = null, bool overSocket = false, bool enable = true, VfioUserServerOptions? server = null, VfioUserClientOptions? client = null, TimeProvider? clock = null)
    {
        _pair = overSocket || server is not null
            ? DevicePair.OverSocket(() => new NvmeDevice(options), new DevicePairOptions { Server = server, Client = client })
            : DevicePair.Local(() => new NvmeDevice(options), new DevicePairOptions { Host = clock is null ? null : new VfioHostOptions { TimeProvider = clock } });
        Connection = _pair.Connection;
        Data = Allocate(DataLength);
        if (enable)
        {
            Enable();
        }
    }

    /// <summary>A host of a controller that somebody else has.</summary>
    /// <param name="connection">The way to it; the host's from now on.</param>
    /// <param name="enable">Whether to enable it.</param>
    public NvmeRig(VfioConnection connection, bool enable)
    {
        Connection = connection;
        Data = Allocate(DataLength);
        if (enable)
        {
            Enable();
        }
    }

    /// <summary>The controller, where this process has it.</summary>
    public DevicePair<NvmeDevice> Pair => _pair ?? throw new InvalidOperationException("The controller is in another process.");

    public VfioConnection Connection { get; }

    public VfioRegion Bar => Connection.Bar(0);

    /// <summary>Memory for data: 2 MiB.</summary>
    public DmaBuffer Data { get; }

    public RawQueue Admin { get; private set; } = null!;

    public uint Status => Bar.Read32(Csts);

    /// <summary>All memory, in the order in which it was taken.</summary>
    public IReadOnlyList<DmaBuffer> Buffers => _buffers;

    public DmaBuffer Allocate(int length)
    {
        DmaBuffer buffer = Connection.AllocateDma((nuint)length, iova: _nextIova);
        _nextIova += ((ulong)length + LargestPage - 1) & ~(LargestPage - 1);
        _buffers.Add(buffer);
        return buffer;
    }

    /// <summary>Enables the controller with new admin queues.</summary>
    public void Enable(int entries = 32, uint configuration = EnabledConfiguration)
        => Enable(entries, configuration, Allocate(entries * 64), Allocate(Math.Max(4096, entries * 16)));

    private void Enable(int entries, uint configuration, DmaBuffer submissions, DmaBuffer completions)
    {
        // A connection's reset takes bus mastering away.
        EnableBus();
        Admin = new RawQueue(this, 0, entries, submissions, completions);
        Bar.Write32(0x24, (uint)(entries - 1) | ((uint)(entries - 1) << 16));
        Bar.Write64(0x28, Admin.Submissions.Iova);
        Bar.Write64(0x30, Admin.Completions.Iova);
        Bar.Write32(Cc, configuration);
        WaitFor(() => (Status & 3) != 0, "the controller does not get ready");
    }

    /// <summary>Enables the controller again with the admin queues' memory that there is, for tests that do it very often.</summary>
    public void Restart()
    {
        if (Admin is null)
        {
            Enable();
            return;
        }

        Admin.Completions.Span.Clear();
        Enable(Admin.Size, EnabledConfiguration, Admin.Submissions, Admin.Completions);
    }

    /// <summary>Takes the memory that another host has, at the same addresses, and its admin queues. What is in it is not copied.</summary>
    public void Follow(NvmeRig other)
    {
        foreach (DmaBuffer buffer in other._buffers.Skip(_buffers.Count))
        {
            Assert.Equal(buffer.Iova, Allocate((int)buffer.Length).Iova);
        }

        Admin = other.Admin.On(this, other);
    }

    /// <summary>The memory at the place of another host's.</summary>
    public DmaBuffer Like(DmaBuffer buffer) => _buffers.First(own => own.Iova == buffer.Iova);

    /// <summary>Lets the controller reach memory.</summary>
    public void EnableBus() => Connection.Pci.Enable(PciCommand.MemorySpace | PciCommand.BusMaster);

    /// <summary>Takes the bus from the controller.</summary>
    public void DisableBus()
    {
        PciFunctionConfig pci = Connection.Pci;
        pci.Command &= ~PciCommand.BusMaster;
    }

    public void Disable()
    {
        Bar.Write32(Cc, EnabledConfiguration & ~1U);
        WaitFor(() => (Status & 1) == 0, "the controller does not stop");
    }

    /// <summary>Makes an I/O queue pair by admin commands.</summary>
    public RawQueue CreateQueue(int id, int entries = 64, int vector = 0, bool interrupts = false)
    {
        var queue = new RawQueue(this, id, entries, Allocate(Math.Max(4096, entries * 64)), Allocate(Math.Max(4096, entries * 16)));
        Assert.Equal(0, Admin.Execute(CreateCompletions(queue, vector, interrupts)).Status);
        Assert.Equal(0, Admin.Execute(CreateSubmissions(queue)).Status);
        return queue;
    }

    public static RawCommand CreateCompletions(RawQueue queue, int vector = 0, bool interrupts = false)
        => new RawCommand(0x05) { Prp1 = queue.Completions.Iova }
            .Set(10, (uint)queue.Id | ((uint)(queue.Size - 1) << 16))
            .Set(11, 1U | (interrupts ? 2U : 0) | ((uint)vector << 16));

    public static RawCommand CreateSubmissions(RawQueue queue, int completions = -1)
        => new RawCommand(0x01) { Prp1 = queue.Submissions.Iova }
            .Set(10, (uint)queue.Id | ((uint)(queue.Size - 1) << 16))
            .Set(11, 1U | ((uint)(completions < 0 ? queue.Id : completions) << 16));

    /// <summary>A read or write of blocks by PRPs into <see cref="Data"/>, which is contiguous: a list where one is needed, in its last pages.</summary>
    public RawCommand Transfer(byte opcode, ulong block, int blocks, int blockSize = 512, int offset = 0, uint nsid = 1)
    {
        RawCommand command = new RawCommand(opcode, nsid) { Prp1 = Data.Iova + (ulong)offset }
            .Set(10, (uint)block).Set(11, (uint)(block >> 32)).Set(12, (uint)(blocks - 1));
        SetPrps(command, (ulong)offset, blocks * blockSize);
        return command;
    }

    public void SetPrps(RawCommand command, ulong offset, int length)
    {
        const int ListOffset = (2 << 20) - 8192;
        ulong first = Data.Iova + offset;
        int inFirst = Math.Min(length, 4096 - (int)(first & 4095));
        int left = length - inFirst;
        ulong next = first + (ulong)inFirst;
        command.Prp1 = first;
        if (left <= 0)
        {
            command.Prp2 = 0;
        }
        else if (left <= 4096)
        {
            command.Prp2 = next;
        }
        else
        {
            Span<ulong> list = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ulong>(Data.Slice(ListOffset, 8192));
            for (int i = 0; left > 0 && i < list.Length; i++, left -= 4096, next += 4096)
            {
                list[i] = next;
            }

            command.Prp2 = Data.Iova + ListOffset;
        }
    }

    public static void WaitFor(Func<bool> condition, string failure)
    {
        long end = Environment.TickCount64 + (long)s_patience.TotalMilliseconds;
        SpinWait spin = default;
        while (!condition())
        {
            Assert.True(Environment.TickCount64 < end, failure);
            spin.SpinOnce(sleep1Threshold: 50);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (DmaBuffer buffer in _buffers)
        {
            buffer.Dispose();
        }

        await Connection.DisposeAsync();
        if (_pair is not null)
        {
            await _pair.DisposeAsync();
        }
    }
}

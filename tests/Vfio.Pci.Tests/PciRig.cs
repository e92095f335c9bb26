using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Pci.Tests;

/// <summary>A host with one open device, used through its file as any VFIO user does.</summary>
internal sealed class PciRig : IAsyncDisposable
{
    private readonly List<EventFd> _eventFds = [];
    private readonly IommufdContext _context = new();

    public PciRig(Action<PciDeviceBuilder> configure, VfioHostOptions? options = null)
    {
        Host = new VfioHost(options);
        Device = Host.Allocate(() => new TestDevice(configure));
        Host.RegisterEmulatedIommuDevice(Device, "dut");
        File = Open();
    }

    public VfioHost Host { get; }

    public TestDevice Device { get; }

    public VfioDeviceFile File { get; private set; }

    public PciInterrupts Interrupts => Device.Interrupts;

    public VfioDeviceFile Open()
    {
        Assert.Equal(Errno.None, Host.TryOpenDevice("dut", out VfioDeviceFile? file));
        Assert.Equal(Errno.None, file!.Bind(_context, out _));
        return file;
    }

    public void Reopen()
    {
        File.Dispose();
        File = Open();
    }

    public async ValueTask DisposeAsync()
    {
        File.Dispose();
        await Host.DisposeAsync();
        Device.Put();
        _context.Dispose();
        foreach (EventFd eventFd in _eventFds)
        {
            eventFd.Dispose();
        }
    }

    public EventFd NewEventFd()
    {
        var eventFd = new EventFd();
        _eventFds.Add(eventFd);
        return eventFd;
    }

    public IoResult Read(uint region, ulong offset, Span<byte> buffer) => File.Read(buffer, PciLayout.Position(region, offset));

    public IoResult Write(uint region, ulong offset, ReadOnlySpan<byte> buffer) => File.Write(buffer, PciLayout.Position(region, offset));

    public ulong Load(uint region, ulong offset, int width)
    {
        Span<byte> bytes = stackalloc byte[8];
        bytes.Clear();
        Assert.Equal(width, Read(region, offset, bytes[..width]).Count);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    public void Store(uint region, ulong offset, int width, ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        Assert.Equal(width, Write(region, offset, bytes[..width]).Count);
    }

    public uint Config(int offset, int width = 4) => (uint)Load((uint)PciRegion.Config, (ulong)offset, width);

    public void SetConfig(int offset, ulong value, int width = 4) => Store((uint)PciRegion.Config, (ulong)offset, width, value);

    /// <summary>Finds a capability by walking the list as software does.</summary>
    public int FindCapability(int id)
    {
        int at = (Config(PciRegister.Status, 2) & 0x10) == 0 ? 0 : (int)Config(PciRegister.CapabilityPointer, 1);
        for (int i = 0; at != 0; i++)
        {
            Assert.True(i < 48, "The capability list has a loop.");
            if (Config(at, 1) == (uint)id)
            {
                return at;
            }

            at = (int)Config(at + 1, 1);
        }

        return 0;
    }

    public IoResult SetIrqs(PciInterrupt index, IrqSetFlags flags, uint start, uint count, ReadOnlySpan<byte> data = default)
        => File.SetIrqs((uint)index, flags, start, count, data, null);

    public IoResult SetEventFds(PciInterrupt index, uint start, params EventFd?[] eventFds)
        => File.SetIrqEventFds((uint)index, IrqSetFlags.ActionTrigger, start, Array.ConvertAll(eventFds, e => e?.Descriptor));

    public EventFd[] Enable(PciInterrupt index, int count)
    {
        EventFd[] eventFds = [.. Enumerable.Range(0, count).Select(_ => NewEventFd())];
        Assert.Equal(0, SetEventFds(index, 0, eventFds).Value);
        return eventFds;
    }

    public IoResult Ioctl<T>(uint command, ref T argument, FileTable? files = null)
        where T : unmanaged
        => File.Ioctl(command, new UserArgument(MemoryMarshal.AsBytes(new Span<T>(ref argument)), files));
}

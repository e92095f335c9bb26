using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Tests;

/// <summary>A device that is nothing but configuration space, with whatever bytes a test wants there.</summary>
internal sealed class ConfigOnlyConnection : VfioConnection
{
    private readonly byte[] _config;

    public ConfigOnlyConnection(byte[] config)
        : base("test:config")
    {
        _config = config;
        Describe();
    }

    public override Errno TryRead(uint region, ulong offset, Span<byte> buffer)
    {
        if (offset + (ulong)buffer.Length > (ulong)_config.Length)
        {
            return Errno.EINVAL;
        }

        _config.AsSpan((int)offset, buffer.Length).CopyTo(buffer);
        return Errno.None;
    }

    public override Errno TryWrite(uint region, ulong offset, ReadOnlySpan<byte> buffer)
    {
        buffer.CopyTo(_config.AsSpan((int)offset));
        return Errno.None;
    }

    public override Errno TryReset() => Errno.ENOTTY;

    public override IoResult TrySetIrqs(
        PciInterrupt index, IrqSetFlags flags, uint start, uint count, ReadOnlySpan<FileDescriptor> eventFds = default, ReadOnlySpan<byte> bools = default)
        => Errno.ENOTTY;

    public override Errno TryGetMigrationFlags(out MigrationFlags flags)
    {
        flags = default;
        return Errno.ENOTTY;
    }

    public override Errno TryGetMigrationState(out MigrationState state)
    {
        state = default;
        return Errno.ENOTTY;
    }

    public override Errno TrySetMigrationState(MigrationState target) => Errno.ENOTTY;

    public override IoResult TryReadMigrationData(Span<byte> buffer) => Errno.ENOTTY;

    public override IoResult TryWriteMigrationData(ReadOnlySpan<byte> data) => Errno.ENOTTY;

    public override Errno TryStartDirtyLog(ReadOnlySpan<IovaRange> ranges, ref ulong pageSize) => Errno.ENOTTY;

    public override Errno TryStopDirtyLog() => Errno.ENOTTY;

    public override Errno TryReadDirtyLog(IovaRange range, ulong pageSize, Span<ulong> bitmap) => Errno.ENOTTY;

    protected override Errno GetDeviceInfo(out DeviceInfo info)
    {
        info = new DeviceInfo(DeviceFlags.Pci, PciLayout.RegionCount, 0);
        return Errno.None;
    }

    protected override Errno GetRegionDescription(uint index, out RegionDescription? description)
        => RegionDescription.TryParse(new RegionInfo { Index = index, Size = index == (uint)PciRegion.Config ? (ulong)_config.Length : 0 }, [], 0, out description);

    protected override Errno GetIrqInfo(uint index, out IrqInfo info)
    {
        info = default;
        return Errno.EINVAL;
    }

    protected override Errno MapRegion(uint region, ulong offset, ulong length, out MemoryMapping? mapping)
    {
        mapping = null;
        return Errno.ENOTTY;
    }

    protected override Errno MapDma(DmaMemory memory, ulong offset, ulong length, DmaAccess access, ulong? iova, out ulong chosen)
    {
        chosen = 0;
        return Errno.ENOTTY;
    }

    protected internal override Errno UnmapDma(ulong iova, ulong length) => Errno.ENOTTY;
}

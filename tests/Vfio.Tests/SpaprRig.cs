using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Tests;

/// <summary>A container with an sPAPR IOMMU and groups of a simulated platform in it; commands go in their binary form, from a caller's memory.</summary>
internal sealed class SpaprRig : IAsyncDisposable
{
    public const ulong Page = 0x1000;
    public const ulong Memory = TestUserMemory.Base;
    public const uint Read = VfioUapi.VFIO_DMA_MAP_FLAG_READ;
    public const uint ReadWrite = Read | VfioUapi.VFIO_DMA_MAP_FLAG_WRITE;
    private const int Scratch = 0x10_0000;

    public SpaprRig(bool version2, SimulatedSpaprTableGroup? tables = null, Func<VfioHostOptions, VfioHostOptions>? options = null, bool errors = true)
    {
        Fixture = new CoreFixture(CallerCapabilities.RawIo, options: options);
        Fixture.Host.RegisterIommuDriver(new SpaprDriver(Fixture.Host, errors));
        Tables = tables ?? new SimulatedSpaprTableGroup();
        Device = Fixture.AddPhysical("0001:00:01.0", hardware: Tables, create: static () => new RecordingDevice { Pins = true });
        Group = Fixture.OpenGroup(Device);
        Container = Fixture.OpenContainer();
        Assert.Equal(Errno.None, Group.SetContainer(Container));
        Assert.Equal(Errno.None, Container.SetIommu(version2 ? VfioUapi.VFIO_SPAPR_TCE_v2_IOMMU : VfioUapi.VFIO_SPAPR_TCE_IOMMU));
        Iommu = (SpaprIommu)Container.Iommu!;
    }

    public CoreFixture Fixture { get; }

    public SimulatedSpaprTableGroup Tables { get; }

    public RecordingDevice Device { get; }

    public VfioGroupFile Group { get; }

    public VfioContainer Container { get; }

    public SpaprIommu Iommu { get; }

    public TestUserMemory User { get; } = new(0x20_0000);

    public long Charged => Fixture.Host.Options.LockedMemory.Pages;

    /// <summary>Executes a command on a structure that is written into the caller's memory.</summary>
    public IoResult Ioctl(uint command, params ReadOnlySpan<object> values)
    {
        Type1Rig.Bytes(values).CopyTo(User.Bytes, Scratch);
        return Container.Ioctl(command, new UserArgument(User, Memory + Scratch));
    }

    public ReadOnlySpan<byte> Reply => User.Bytes.AsSpan(Scratch);

    public Errno Map(ulong iova, ulong size, ulong address = Memory, uint flags = ReadWrite)
        => Ioctl(VfioUapi.VFIO_IOMMU_MAP_DMA, 32u, flags, address, iova, size).Error;

    public Errno Unmap(ulong iova, ulong size) => Ioctl(VfioUapi.VFIO_IOMMU_UNMAP_DMA, 24u, 0u, iova, size).Error;

    public Errno Register(ulong address, ulong size) => Ioctl(VfioUapi.VFIO_IOMMU_SPAPR_REGISTER_MEMORY, 24u, 0u, address, size).Error;

    public Errno Unregister(ulong address, ulong size) => Ioctl(VfioUapi.VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, 24u, 0u, address, size).Error;

    public Errno Create(uint pageShift, ulong size, uint levels, out ulong start)
    {
        Errno error = Ioctl(VfioUapi.VFIO_IOMMU_SPAPR_TCE_CREATE, 40u, 0u, pageShift, 0u, size, levels, 0u, 0ul).Error;
        start = BitConverter.ToUInt64(Reply[32..]);
        return error;
    }

    public Errno Remove(ulong start) => Ioctl(VfioUapi.VFIO_IOMMU_SPAPR_TCE_REMOVE, 16u, 0u, start).Error;

    public IoResult Endpoint(uint operation) => Ioctl(VfioUapi.VFIO_EEH_PE_OP, 12u, 0u, operation);

    /// <summary>The place in the user's memory that a device reaches at an address; null where nothing is mapped.</summary>
    public ulong? At(ulong iova) => Tables.TryTranslate(iova, out IUserMemory? memory, out ulong target, out _) && ReferenceEquals(memory, User) ? target - Memory : null;

    public ValueTask DisposeAsync() => Fixture.DisposeAsync();
}

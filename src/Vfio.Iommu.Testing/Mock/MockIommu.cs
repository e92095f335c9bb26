using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.Iommu.Testing;

/// <summary>The hardware of the kernel's own selftests: 2048-byte pages, an aperture, first stages, virtual IOMMUs (spec iommufd §7.10).</summary>
internal sealed class MockIommu : IIommuHardware
{
    public const ulong Base = 0x1000000;
    public const ulong Last = 0x7fffffff;
    public const ulong PageSize = 2048;
    public const uint NestedType = 0xdead;
    public const uint InfoType = 0xfeedbeef;
    public const uint InvalidateType = 0xdeadbeef;
    public const uint ViommuType = 0xdeadbeef;
    public const uint QueueType = 0xdeadbeef;
    public const uint EventType = 0xbeefbeef;
    public const uint FailingPasid = 1024;

    private const uint HugePageTable = 1;
    private const ulong HugePageSizes = (1ul << 20) | 4096;
    private readonly HashSet<IommuGroup> _failing = [];

    public IReadOnlyList<ReservedRegion> ReservedRegions { get; init; } = [];

    public bool HasIsolatedMsi { get; init; } = true;

    public bool HasUserPasidTables => true;

    public bool SupportsDomainOptions { get; init; } = true;

    /// <summary>The pages that its domains have: every power of two from 2048 on.</summary>
    public ulong PageSizes { get; init; } = ~(PageSize - 1);

    public IovaRange Aperture { get; init; } = Range(Base, Last);

    public bool EnforcesCoherency { get; init; } = true;

    public static IovaRange Range(ulong start, ulong last)
    {
        return IovaRange.TryCreateInclusive(start, last, out IovaRange range) ? range : throw new ArgumentOutOfRangeException(nameof(last));
    }

    public Errno CreateDomain(DomainOptions options, UserData data, out IPagingDomain? domain)
    {
        domain = null;
        NestedData format = default;
        Errno error = data.Length == 0 ? Errno.None : data.Read(NestedType, 4, out format);
        if (error != Errno.None || format.PageTableType > HugePageTable)
        {
            return error != Errno.None ? error : Errno.EOPNOTSUPP;
        }

        bool isHuge = format.PageTableType == HugePageTable;
        SimulatedIommu iommu = new()
        {
            PageSizes = isHuge ? HugePageSizes : PageSizes,
            Aperture = isHuge ? IovaRange.All : Aperture,
            EnforcesCoherency = EnforcesCoherency,
        };
        error = iommu.CreateDomain(options & ~DomainOptions.NestParent, default, out IPagingDomain? inner);
        domain = error == Errno.None ? new MockDomain(this, inner!) : null;
        return error;
    }

    public Errno CreateNestedDomain(IPagingDomain parent, DomainOptions options, UserData data, out INestedDomain? domain)
    {
        domain = null;
        return parent is MockDomain ? CreateNestedDomain(data, null, out domain) : Errno.EINVAL;
    }

    /// <summary>Makes a first stage.</summary>
    /// <param name="data">What it begins with.</param>
    /// <param name="viommu">The virtual IOMMU that it is made at; null for none.</param>
    /// <param name="domain">The first stage.</param>
    public static Errno CreateNestedDomain(UserData data, VirtualIommu? viommu, out INestedDomain? domain)
    {
        domain = null;
        if (data.Type != NestedType)
        {
            return Errno.EOPNOTSUPP;
        }

        Errno error = data.Read(NestedType, 4, out NestedData nested);
        if (error == Errno.None)
        {
            domain = new MockNestedDomain(nested.Iotlb, viommu);
        }

        return error;
    }

    /// <summary>A domain is about to be attached to a group's PASID: with <see cref="FailingPasid"/> each second time in a row fails.</summary>
    public static Errno Attaching(IommuGroup group, uint pasid)
    {
        if (pasid != FailingPasid || group.Hardware is not MockIommu iommu)
        {
            return Errno.None;
        }

        lock (iommu._failing)
        {
            if (iommu._failing.Remove(group))
            {
                return Errno.ENOMEM;
            }

            iommu._failing.Add(group);
            return Errno.None;
        }
    }

    /// <summary>A domain was taken from a group's PASID.</summary>
    public static void Detached(IommuGroup group, uint pasid)
    {
        if (pasid == FailingPasid && group.Hardware is MockIommu iommu)
        {
            lock (iommu._failing)
            {
                iommu._failing.Remove(group);
            }
        }
    }

    public bool SupportsVirtualIommu(uint type) => type == ViommuType;

    public Errno CreateVirtualIommu(uint type, VirtualIommu viommu, UserData data, out IVirtualIommuHardware? hardware)
    {
        hardware = null;
        MockViommu created = new(viommu);
        Errno error = created.Start(data);
        if (error == Errno.None)
        {
            hardware = created;
        }

        return error;
    }

    public Errno Describe(ref uint type, out ReadOnlyMemory<byte> data)
    {
        data = default;
        if (type != 0 && type != InfoType)
        {
            return Errno.EOPNOTSUPP;
        }

        type = InfoType;
        data = new byte[] { 0, 0, 0, 0, 0xef, 0xbe, 0xad, 0xde };
        return Errno.None;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct NestedData
    {
        public uint Iotlb;

        /// <summary>Of a page table that the host keeps: 0 for the mock's own format, 1 for the one with large pages.</summary>
        public uint PageTableType;
    }
}

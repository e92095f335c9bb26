using Vfio.Abi;

namespace Vfio.Iommu.Testing;

/// <summary>A paging domain of a <see cref="MockIommu"/>: a simulated one that any device of the mock suits.</summary>
internal sealed class MockDomain(MockIommu iommu, IPagingDomain inner) : IPagingDomain
{
    public MockIommu Iommu { get; } = iommu;

    public SimulatedDomain Simulated => (SimulatedDomain)inner;

    /// <summary>What the next map answers, once.</summary>
    public Errno FailNextMap { get; set; }

    public bool IsDisposed { get; private set; }

    public ulong PageSizes => inner.PageSizes;

    public IovaRange Aperture => inner.Aperture;

    public bool EnforcesCoherency => inner.EnforcesCoherency;

    public bool TracksWrites => inner.TracksWrites;

    public Errno Attach(IommuGroup group, uint pasid)
    {
        return group.Hardware is MockIommu ? MockIommu.Attaching(group, pasid) : Errno.EINVAL;
    }

    public void Detach(IommuGroup group, uint pasid) => MockIommu.Detached(group, pasid);

    public Errno Map(IovaRange range, MemorySource memory, ulong offset, DmaAccess access)
    {
        Errno fail = FailNextMap;
        FailNextMap = Errno.None;
        return fail != Errno.None ? fail : inner.Map(range, memory, offset, access);
    }

    public void Unmap(IovaRange range) => inner.Unmap(range);

    public Errno Enter(ulong iova, DmaAccess access, out DomainMapping? mapping) => inner.Enter(iova, access, out mapping);

    public void MarkWritten(DomainMapping mapping, IovaRange range) => inner.MarkWritten(mapping, range);

    public Errno SetTracking(bool enabled) => inner.SetTracking(enabled);

    public void ReadWritten(IovaRange range, bool clear, Action<IovaRange>? written) => inner.ReadWritten(range, clear, written);

    public void Dispose()
    {
        IsDisposed = true;
        inner.Dispose();
    }
}

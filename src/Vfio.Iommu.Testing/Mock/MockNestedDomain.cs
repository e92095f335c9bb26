using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.Iommu.Testing;

/// <summary>A first stage that is nothing but four cached words.</summary>
internal sealed class MockNestedDomain(uint iotlb, VirtualIommu? viommu) : INestedDomain
{
    public uint[] Iotlb { get; } = [iotlb, iotlb, iotlb, iotlb];

    public bool CanInvalidate => true;

    /// <summary>Made at a virtual IOMMU, it suits only devices that have a number there.</summary>
    public Errno Attach(IommuGroup group, uint pasid)
        => viommu?.TryGetVirtualId(group, out _) == false ? Errno.ENOENT : MockIommu.Attaching(group, pasid);

    public void Detach(IommuGroup group, uint pasid) => MockIommu.Detached(group, pasid);

    public Errno Invalidate(in InvalidationRequest request, out uint done)
    {
        done = 0;
        if (request.Type != MockIommu.InvalidateType)
        {
            return Errno.EINVAL;
        }

        for (; done < request.Count; done++)
        {
            Errno error = request.Read(done, 8, out Entry entry);
            if (error != Errno.None)
            {
                return error;
            }

            if ((entry.Flags & ~1u) != 0)
            {
                return Errno.EOPNOTSUPP;
            }

            if (entry.Index >= Iotlb.Length)
            {
                return Errno.EINVAL;
            }

            if (entry.Flags == 1)
            {
                Array.Clear(Iotlb);
            }
            else
            {
                Iotlb[entry.Index] = 0;
            }
        }

        return Errno.None;
    }

    public void Dispose()
    {
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct Entry
    {
        public uint Flags;
        public uint Index;
    }
}

using Vfio.Abi;

namespace Vfio.Iommu.Testing;

/// <summary>A mock device as an object of its context: destroying it takes the device away (<c>selftest_obj</c>).</summary>
internal sealed class MockHolder(IommufdContext context) : IommufdObject(context)
{
    private readonly Lock _lock = new();
    private readonly SortedSet<uint> _pasids = [];
    private IommufdDevice? _device;

    public IommufdDevice Device => _device!;

    /// <summary>From now on it is found.</summary>
    public void Complete(IommufdDevice device)
    {
        _device = device;
        IsLeaving = false;
    }

    public Errno Change(uint pasid, ref uint target, bool replace)
    {
        lock (_lock)
        {
            Errno error = replace ? Device.Replace(ref target, pasid) : Device.Attach(ref target, pasid);
            if (error == Errno.None)
            {
                _pasids.Add(pasid);
            }

            return error;
        }
    }

    public void Detach(uint pasid)
    {
        lock (_lock)
        {
            _pasids.Remove(pasid);
            Device.Detach(pasid);
        }
    }

    internal override void Destroyed()
    {
        foreach (uint pasid in _pasids)
        {
            Device.Detach(pasid);
        }

        Device.Detach();
        Device.Unbind();
    }
}

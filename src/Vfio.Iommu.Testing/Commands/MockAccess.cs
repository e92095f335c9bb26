using Vfio.Abi;

namespace Vfio.Iommu.Testing;

/// <summary>The access of a driver as a file: what it pinned has numbers, and goes with the file (<c>selftest_access</c>).</summary>
/// <remarks>Lock order: the lock of this file, then the access's own. The unmap callback takes it while the address space holds none.</remarks>
internal sealed class MockAccess : VfioFile
{
    private readonly Lock _lock = new();
    private readonly Dictionary<uint, AreaPin> _items = [];
    private IommufdAccess? _access;
    private uint _next;

    public IommufdAccess Access => _access!;

    /// <summary>Makes the access and attaches it.</summary>
    public Errno Start(IommufdContext context, uint ioas, bool pins)
    {
        Errno error = context.CreateAccess(pins ? Drop : null, out _access);
        if (error != Errno.None)
        {
            return error;
        }

        error = Access.AttachOrReplace(ioas);
        if (error != Errno.None)
        {
            Access.Destroy();
            _access = null;
        }

        return error;
    }

    /// <summary>Pins pages, and keeps them when the check is content.</summary>
    public Errno Pin(ulong iova, ulong length, DmaAccess access, Func<AreaPin, Errno> check, out uint item)
    {
        item = 0;

        // Held from the pin to the note of it, so that an unmap finds either both or neither.
        lock (_lock)
        {
            Errno error = Access.TryPin(iova, length, access, byPointer: false, out AreaPin? pin);
            if (error != Errno.None)
            {
                return error;
            }

            error = check(pin!);
            if (error != Errno.None)
            {
                pin!.Dispose();
                return error;
            }

            item = _next++;
            _items.Add(item, pin!);
            return Errno.None;
        }
    }

    public Errno Unpin(uint item)
    {
        lock (_lock)
        {
            if (!_items.Remove(item, out AreaPin? pin))
            {
                return Errno.ENOENT;
            }

            pin.Dispose();
            return Errno.None;
        }
    }

    protected override void Close()
    {
        Drop(0, ulong.MaxValue);
        _access?.Destroy();
    }

    /// <summary>Gives back every pin that meets the addresses.</summary>
    private void Drop(ulong iova, ulong length)
    {
        lock (_lock)
        {
            ulong last = iova + length < iova ? ulong.MaxValue : iova + length - 1;
            foreach ((uint item, AreaPin pin) in _items.ToArray())
            {
                if (pin.Range.Start <= last && pin.Range.Last >= iova)
                {
                    _items.Remove(item);
                    pin.Dispose();
                }
            }
        }
    }
}

using System.Numerics;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio;

/// <summary>The IOMMU of an ordinary container: the user maps its memory at addresses of its choice (<c>vfio_iommu_type1</c>).</summary>
/// <remarks>
/// <para>
/// Groups whose devices do their DMA in software join without hardware, and nothing is then checked or kept in place at a map: memory
/// is touched when a device pins or copies. Groups with an IOMMU bring a domain, into which every mapping goes.
/// </para>
/// <para>
/// Lock order: the notification lock, then the instance's lock. The notification lock is held around <see cref="VfioDevice.OnDmaUnmap"/>, so that
/// a device that was unregistered hears nothing more; the callback may pin and unpin, but must not open or close devices of the
/// container. The instance's lock is held while memory of the user is copied, as in the kernel; no callback runs under it.
/// </para>
/// </remarks>
public sealed partial class Type1Iommu : VfioIommu
{
    private const ulong PageSize = 4096;
    private static readonly ProcessUserMemory s_processMemory = new();
    private readonly Lock _notifyLock = new();
    private readonly Lock _lock = new();
    private readonly VfioHost _host;
    private readonly bool _isVersion2;
    private readonly List<VfioDevice> _devices = [];
    private readonly List<Type1Mapping> _mappings = [];
    private ulong _pageSizes = ~(PageSize - 1);
    private int _available;
    private int _invalid;
    private bool _released;

    internal Type1Iommu(VfioHost host, bool isVersion2)
    {
        _host = host;
        _isVersion2 = isVersion2;
        _available = host.Options.DmaEntryLimit;
    }

    /// <summary>Whether this is version 2, which never cuts or exceeds a mapping when it unmaps.</summary>
    public bool IsVersion2 => _isVersion2;

    /// <inheritdoc/>
    public override bool CanAccessMemory => true;

    /// <summary>Number of mappings.</summary>
    public int MappingCount
    {
        get
        {
            lock (_lock)
            {
                return _mappings.Count;
            }
        }
    }

    private LockedMemoryAccount Account => _host.Options.LockedMemory;

    private bool IsExempt => _host.HasCapability(CallerCapabilities.IpcLock);

    /// <summary>The unit of addresses and sizes: the smallest page that all domains have.</summary>
    private ulong Unit => 1ul << BitOperations.TrailingZeroCount(_pageSizes);

    /// <inheritdoc/>
    public override int CheckExtension(uint extension)
    {
        lock (_lock)
        {
            return extension switch
            {
                VfioUapi.VFIO_TYPE1_IOMMU or VfioUapi.VFIO_TYPE1v2_IOMMU or VfioUapi.VFIO_UNMAP_ALL => 1,
                VfioUapi.VFIO_DMA_CC_IOMMU => _domains.TrueForAll(static entry => entry.Domain.EnforcesCoherency) ? 1 : 0,
                VfioUapi.VFIO_UPDATE_VADDR => _emulated.Count == 0 ? 1 : 0,
                _ => 0,
            };
        }
    }

    /// <inheritdoc/>
    public override void RegisterDevice(VfioDevice device)
    {
        if (!device.CanPin)
        {
            return;
        }

        lock (_notifyLock)
        {
            lock (_lock)
            {
                _devices.Add(device);
            }
        }
    }

    /// <inheritdoc/>
    public override void UnregisterDevice(VfioDevice device)
    {
        lock (_notifyLock)
        {
            lock (_lock)
            {
                _devices.Remove(device);
            }
        }
    }

    /// <inheritdoc/>
    public override void Release()
    {
        lock (_lock)
        {
            _released = true;
            RemoveAll();
            foreach (DomainEntry entry in _domains)
            {
                entry.Domain.Dispose();
            }

            _domains.Clear();
            _emulated.Clear();
        }
    }

    /// <summary>Index of the first mapping that ends at or after an address.</summary>
    private int IndexFrom(ulong iova)
    {
        int low = 0;
        int high = _mappings.Count;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (_mappings[middle].Range.Last < iova)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low;
    }

    private Type1Mapping? Find(ulong iova)
    {
        int index = IndexFrom(iova);
        return index < _mappings.Count && _mappings[index].Range.Start <= iova ? _mappings[index] : null;
    }

    private Type1Mapping? FindOverlap(IovaRange range)
    {
        int index = IndexFrom(range.Start);
        return index < _mappings.Count && _mappings[index].Range.Start <= range.Last ? _mappings[index] : null;
    }

    private void RemoveAt(int index)
    {
        Type1Mapping mapping = _mappings[index];
        _mappings.RemoveAt(index);
        if (mapping.IsHardwareMapped)
        {
            UnmapHardware(mapping);
        }

        mapping.Pins.Clear();
        LetGo(mapping);
        DropBitmap(mapping);
        _invalid -= mapping.IsInvalid ? 1 : 0;
        _available++;
    }

    private void RemoveAll()
    {
        for (int i = _mappings.Count - 1; i >= 0; i--)
        {
            RemoveAt(i);
        }
    }

    /// <summary>Tells every device that pins. The caller holds no lock of the instance.</summary>
    private void Notify(IovaRange range)
    {
        lock (_notifyLock)
        {
            VfioDevice[] devices = [.. _devices];
            foreach (VfioDevice device in devices)
            {
                device.OnDmaUnmap(range.Start, range.Length);
            }
        }
    }
}

using Vfio.Iommu;

namespace Vfio.Pci;

/// <summary>Parts of a BAR's shared memory as a file of their own (DEVICE_FEATURE_DMA_BUF).</summary>
/// <remarks>
/// <para>
/// While it is open it keeps the device's unregistration waiting, but only until the device is closed: then it is orphaned for good. While the
/// device is reset, has its memory decoding off, or sleeps, the memory is revoked: mappings are told to let go, and no new ones are given.
/// </para>
/// <para>Lock order: the exporting device's state lock, then this file's. Callbacks of importers run under the former and must not call the device.</para>
/// </remarks>
public sealed class PciDmaBuf : DmaBufFile
{
    private readonly VfioPciDevice _device;
    private int _orphaned;

    internal PciDmaBuf(VfioPciDevice device, MappableMemory[] pieces, bool revoked)
        : base(pieces, revoked)
    {
        _device = device;
    }

    /// <summary>Revokes or gives back. The caller holds the device's state lock.</summary>
    internal void Update(bool revoked)
    {
        if (Volatile.Read(ref _orphaned) == 0)
        {
            SetRevoked(revoked);
        }
    }

    /// <summary>The device was closed: the file is of no use any more and holds nothing. The caller holds the device's state lock.</summary>
    internal void Orphan()
    {
        SetRevoked(true);
        LetGo();
    }

    /// <inheritdoc/>
    protected override void Close()
    {
        _device.Forget(this);
        SetRevoked(true);
        LetGo();
    }

    private void LetGo()
    {
        if (Interlocked.Exchange(ref _orphaned, 1) == 0)
        {
            _device.PutRegistration();
        }
    }
}

using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Pci;

/// <content>Export of BAR memory (DEVICE_FEATURE_DMA_BUF, <c>vfio_pci_core_feature_dma_buf</c>; spec vfio-core §5.12).</content>
public abstract partial class VfioPciDevice
{
    private const uint MaximumDmaBufRanges = 1 << 16;

    /// <summary>Guarded by the state lock.</summary>
    private readonly List<PciDmaBuf> _dmaBufs = [];
    private bool _resetting;

    internal void Forget(PciDmaBuf buffer)
    {
        lock (StateLock)
        {
            _dmaBufs.Remove(buffer);
        }
    }

    /// <summary>Whether BAR memory cannot be reached by anybody now. The caller holds the state lock.</summary>
    private bool IsMemoryOff => _resetting || _lowPower.IsEngaged || _powerState == 3
        || (Configuration.EnforceDecode && ((PciCommand)_config.GetWord(PciRegister.Command) & PciCommand.MemorySpace) == 0);

    private void UpdateDmaBufs()
    {
        if (_dmaBufs.Count > 0)
        {
            bool off = IsMemoryOff;
            foreach (PciDmaBuf buffer in _dmaBufs)
            {
                buffer.Update(off);
            }
        }
    }

    private void OrphanDmaBufs()
    {
        foreach (PciDmaBuf buffer in _dmaBufs)
        {
            buffer.Orphan();
        }

        _dmaBufs.Clear();
    }

    private IoResult DmaBufFeature(uint flags, UserArgument data, ulong size)
    {
        const int HeaderLength = 16;
        if (!FeatureRequest.ShallExecute(flags, size, VfioUapi.VFIO_DEVICE_FEATURE_GET, HeaderLength, out IoResult done))
        {
            return done;
        }

        Errno error = data.Read(0, out vfio_device_feature_dma_buf request);
        if (error != Errno.None)
        {
            return error;
        }

        if (request.nr_ranges == 0 || request.flags != 0)
        {
            return Errno.EINVAL;
        }

        if (request.region_index >= 6 || _bars[request.region_index] is not { } bar)
        {
            return Errno.ENODEV;
        }

        if (request.nr_ranges > MaximumDmaBufRanges)
        {
            return Errno.ENOMEM;
        }

        error = ReadPieces(bar, data.From(HeaderLength), (int)request.nr_ranges, out MappableMemory[] pieces);
        if (error != Errno.None)
        {
            return error;
        }

        if (data.Files is not { HasRoom: true } files)
        {
            return Errno.EMFILE;
        }

        if (!TryGetRegistration())
        {
            return Errno.ENODEV;
        }

        PciDmaBuf buffer;
        lock (StateLock)
        {
            buffer = new PciDmaBuf(this, pieces, IsMemoryOff);
            _dmaBufs.Add(buffer);
        }

        IoResult number = files.Install(buffer);
        if (number.IsError)
        {
            buffer.Dispose();
        }

        return number;
    }

    /// <summary>Reads the ranges wanted and finds the memory behind them.</summary>
    private static Errno ReadPieces(PciBar bar, UserArgument ranges, int count, out MappableMemory[] pieces)
    {
        pieces = [];
        List<MappableMemory> found = [];
        ulong total = 0;
        for (int i = 0; i < count; i++)
        {
            Errno error = ranges.Read((ulong)i * 16, out vfio_region_dma_range range);
            if (error != Errno.None)
            {
                return error;
            }

            ulong page = (ulong)Environment.SystemPageSize;
            if (range.length == 0 || range.offset % page != 0 || range.length % page != 0)
            {
                return Errno.EINVAL;
            }

            ulong next = unchecked(total + range.length);
            if (next < total || range.length > long.MaxValue || bar.Mappable.Length == 0)
            {
                return Errno.EINVAL;
            }

            total = next;
            if (unchecked(range.offset + range.length) < range.offset)
            {
                return Errno.EOVERFLOW;
            }

            BarArea? area = Array.Find(bar.Mappable, area => range.offset >= area.Offset && range.offset < area.End && range.length <= area.End - range.offset);
            if (area is null)
            {
                return Errno.EINVAL; // Beyond the BAR, or not memory that can be shared.
            }

            found.Add(new MappableMemory(area.Memory!.Descriptor, area.Memory.FileOffset + (range.offset - area.Offset), range.length));
        }

        pieces = [.. found];
        return Errno.None;
    }
}

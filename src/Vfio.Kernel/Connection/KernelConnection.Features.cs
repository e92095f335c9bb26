using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Kernel;

/// <content>Migration and dirty page logging, by VFIO_DEVICE_FEATURE. A device without them answers <see cref="Errno.ENOTTY"/>.</content>
public sealed partial class KernelConnection
{
    private FileDescriptor? _migrationData;

    /// <inheritdoc/>
    public override Errno TryGetMigrationFlags(out MigrationFlags flags)
    {
        vfio_device_feature_migration data = default;
        Errno error = Feature(VfioUapi.VFIO_DEVICE_FEATURE_GET | VfioUapi.VFIO_DEVICE_FEATURE_MIGRATION, ref data);
        flags = error == Errno.None ? (MigrationFlags)data.flags : MigrationFlags.None;
        return error;
    }

    /// <inheritdoc/>
    public override Errno TryGetMigrationState(out MigrationState state)
    {
        vfio_device_feature_mig_state data = default;
        Errno error = Feature(VfioUapi.VFIO_DEVICE_FEATURE_GET | VfioUapi.VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, ref data);
        state = error == Errno.None ? (MigrationState)data.device_state : MigrationState.Error;
        return error;
    }

    /// <inheritdoc/>
    public override Errno TrySetMigrationState(MigrationState target)
    {
        vfio_device_feature_mig_state data = new() { device_state = (uint)target, data_fd = -1 };
        Errno error = Feature(VfioUapi.VFIO_DEVICE_FEATURE_SET | VfioUapi.VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, ref data);
        if (error == Errno.None && data.data_fd >= 0)
        {
            _migrationData?.Dispose();
            _migrationData = new FileDescriptor(data.data_fd, ownsHandle: true);
        }

        return error;
    }

    /// <inheritdoc/>
    public override IoResult TryReadMigrationData(Span<byte> buffer)
    {
        int done = 0;
        while (done < buffer.Length)
        {
            IoResult result = _migrationData?.Read(buffer[done..]) ?? Errno.EINVAL;
            if (result.IsError)
            {
                return result.Error == Errno.ENOMSG ? IoResult.Success(done) : result;
            }

            if (result.Value == 0)
            {
                break;
            }

            done += result.Count;
        }

        return IoResult.Success(done);
    }

    /// <inheritdoc/>
    public override IoResult TryWriteMigrationData(ReadOnlySpan<byte> data) => _migrationData?.Write(data) ?? Errno.EINVAL;

    /// <inheritdoc/>
    public override unsafe Errno TryStartDirtyLog(ReadOnlySpan<IovaRange> ranges, ref ulong pageSize)
    {
        vfio_device_feature_dma_logging_range[] raw = new vfio_device_feature_dma_logging_range[ranges.Length];
        for (int i = 0; i < raw.Length; i++)
        {
            raw[i] = new vfio_device_feature_dma_logging_range { iova = ranges[i].Start, length = ranges[i].Length };
        }

        // SAFETY: pinned during the call; the kernel reads as many ranges as the count says.
        fixed (vfio_device_feature_dma_logging_range* pointer = raw)
        {
            vfio_device_feature_dma_logging_control data = new() { page_size = pageSize, num_ranges = (uint)raw.Length, ranges = (ulong)pointer };
            Errno error = Feature(VfioUapi.VFIO_DEVICE_FEATURE_SET | VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_START, ref data);
            pageSize = error == Errno.None ? data.page_size : pageSize;
            return error;
        }
    }

    /// <inheritdoc/>
    public override Errno TryStopDirtyLog()
    {
        vfio_device_feature header = new()
        {
            argsz = (uint)Unsafe.SizeOf<vfio_device_feature>(),
            flags = VfioUapi.VFIO_DEVICE_FEATURE_SET | VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
        };
        return _device.Ioctl(VfioUapi.VFIO_DEVICE_FEATURE, ref header).Error;
    }

    /// <inheritdoc/>
    public override unsafe Errno TryReadDirtyLog(IovaRange range, ulong pageSize, Span<ulong> bitmap)
    {
        // The kernel writes one bit for each page, which must not go behind the bitmap.
        if (pageSize == 0 || (range.Length - 1) / pageSize / 64 >= (ulong)bitmap.Length)
        {
            return Errno.EINVAL;
        }

        bitmap.Clear();

        // SAFETY: pinned during the call; large enough by the check above.
        fixed (ulong* pointer = bitmap)
        {
            vfio_device_feature_dma_logging_report data = new() { iova = range.Start, length = range.Length, page_size = pageSize, bitmap = (ulong)pointer };
            return Feature(VfioUapi.VFIO_DEVICE_FEATURE_GET | VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, ref data);
        }
    }

    private Errno Feature<T>(uint flags, ref T data)
        where T : unmanaged
    {
        int header = Unsafe.SizeOf<vfio_device_feature>();
        Span<byte> structure = stackalloc byte[header + Unsafe.SizeOf<T>()];
        MemoryMarshal.Write(structure, new vfio_device_feature { argsz = (uint)structure.Length, flags = flags });
        MemoryMarshal.Write(structure[header..], in data);
        Errno error = _device.Ioctl(VfioUapi.VFIO_DEVICE_FEATURE, structure).Error;
        data = MemoryMarshal.Read<T>(structure[header..]);
        return error;
    }
}

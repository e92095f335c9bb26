using System.Buffers;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio;

public sealed partial class VfioDeviceFile
{
    private const uint FeatureGet = VfioUapi.VFIO_DEVICE_FEATURE_GET;
    private const uint FeatureSet = VfioUapi.VFIO_DEVICE_FEATURE_SET;
    private const uint FeatureProbe = VfioUapi.VFIO_DEVICE_FEATURE_PROBE;
    private const uint FeatureIndexMask = VfioUapi.VFIO_DEVICE_FEATURE_MASK;
    private const int MaximumLogRanges = 256;
    private const ulong MaximumBitmapBytes = 256 << 20;

    /// <summary>What the device can do in migration.</summary>
    /// <param name="flags">Its abilities.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.ENOTTY"/> when it cannot migrate.</returns>
    /// <remarks>VFIO_DEVICE_FEATURE_MIGRATION.</remarks>
    public Errno GetMigrationFlags(out MigrationFlags flags)
    {
        flags = (_granted ? _device.Migration?.Flags : null) ?? MigrationFlags.None;
        return !_granted ? Errno.EINVAL : flags == MigrationFlags.None ? Errno.ENOTTY : Errno.None;
    }

    /// <summary>Tells the migration state.</summary>
    /// <param name="state">The state.</param>
    /// <returns><see cref="Errno.None"/>, <see cref="Errno.ENOTTY"/> when the device cannot migrate, or what it reported.</returns>
    /// <remarks>VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, GET.</remarks>
    public Errno GetMigrationState(out MigrationState state)
    {
        state = MigrationState.Error;
        return !_granted ? Errno.EINVAL : _device.Migration?.GetState(out state) ?? Errno.ENOTTY;
    }

    /// <summary>Changes the migration state.</summary>
    /// <param name="target">The state wanted.</param>
    /// <param name="file">The data file, when a session began.</param>
    /// <returns><see cref="Errno.None"/>, <see cref="Errno.ENOTTY"/> when the device cannot migrate, or what it reported.</returns>
    /// <remarks>VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, SET; spec vfio-core §6.3.</remarks>
    public Errno SetMigrationState(MigrationState target, out MigrationDataFile? file)
    {
        file = null;
        Errno error = !_granted ? Errno.EINVAL : _device.Migration?.SetState(target, out file) ?? Errno.ENOTTY;
        file?.BelongTo(_device);
        return error;
    }

    /// <summary>Estimates the size of a stop-copy.</summary>
    /// <param name="length">Bytes.</param>
    /// <returns><see cref="Errno.None"/>, <see cref="Errno.ENOTTY"/> when the device cannot migrate, or what it reported.</returns>
    /// <remarks>VFIO_DEVICE_FEATURE_MIG_DATA_SIZE.</remarks>
    public Errno GetMigrationDataSize(out ulong length)
    {
        length = 0;
        return !_granted ? Errno.EINVAL : _device.Migration?.GetDataSize(out length) ?? Errno.ENOTTY;
    }

    /// <summary>Starts dirty page logging.</summary>
    /// <param name="ranges">The ranges in the caller's order; none means everything.</param>
    /// <param name="pageSize">In: the unit wanted. Out: the unit used.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.ENOTTY"/> without logging; <see cref="Errno.E2BIG"/> for more than 256 ranges;
    /// <see cref="Errno.EINVAL"/> for ranges that overlap or are not multiples of the unit; what the device reported.
    /// </returns>
    /// <remarks>VFIO_DEVICE_FEATURE_DMA_LOGGING_START.</remarks>
    public Errno StartDirtyLog(ReadOnlySpan<IovaRange> ranges, ref ulong pageSize)
    {
        if (!_granted)
        {
            return Errno.EINVAL;
        }

        if (_device.DirtyLog is not { } log)
        {
            return Errno.ENOTTY;
        }

        if (ranges.Length > MaximumLogRanges)
        {
            return Errno.E2BIG;
        }

        if (pageSize == 0)
        {
            return Errno.EINVAL;
        }

        for (int i = 0; i < ranges.Length; i++)
        {
            if (ranges[i].Start % pageSize != 0 || ranges[i].Length % pageSize != 0)
            {
                return Errno.EINVAL;
            }

            for (int j = 0; j < i; j++)
            {
                if (ranges[i].Overlaps(ranges[j]))
                {
                    return Errno.EINVAL;
                }
            }
        }

        IovaRange[] sorted = ranges.ToArray();
        Array.Sort(sorted, static (a, b) => a.Start.CompareTo(b.Start));
        return log.Start(sorted, ref pageSize);
    }

    /// <summary>Stops dirty page logging.</summary>
    /// <returns><see cref="Errno.None"/>, <see cref="Errno.ENOTTY"/> without logging, or what the device reported.</returns>
    /// <remarks>VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP.</remarks>
    public Errno StopDirtyLog() => !_granted ? Errno.EINVAL : _device.DirtyLog?.Stop() ?? Errno.ENOTTY;

    /// <summary>Reports and clears dirty pages.</summary>
    /// <param name="range">The range.</param>
    /// <param name="bitmap">Receives the pages, see <see cref="DirtyBitmap.TryCreate"/>.</param>
    /// <returns><see cref="Errno.None"/>, <see cref="Errno.ENOTTY"/> without logging, or what the device reported.</returns>
    /// <remarks>VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT.</remarks>
    public Errno ReadDirtyLog(IovaRange range, DirtyBitmap bitmap)
        => !_granted ? Errno.EINVAL : _device.DirtyLog?.ReadAndClear(range, bitmap) ?? Errno.ENOTTY;

    private IoResult FeatureCommand(UserArgument argument)
    {
        const int Minimum = 8;
        Errno error = argument.ReadExtensible(Minimum, out vfio_device_feature feature, out uint argsz);
        if (error != Errno.None)
        {
            return error;
        }

        uint flags = feature.flags;
        if ((flags & ~(FeatureIndexMask | FeatureGet | FeatureSet | FeatureProbe)) != 0
            || ((flags & (FeatureGet | FeatureSet)) == (FeatureGet | FeatureSet) && (flags & FeatureProbe) == 0))
        {
            return Errno.EINVAL;
        }

        UserArgument data = argument.From(Minimum);
        ulong size = argsz - Minimum;
        return (flags & FeatureIndexMask) switch
        {
            VfioUapi.VFIO_DEVICE_FEATURE_MIGRATION => MigrationFeature(flags, data, size),
            VfioUapi.VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE => MigrationStateFeature(flags, data, size),
            VfioUapi.VFIO_DEVICE_FEATURE_MIG_DATA_SIZE => DataSizeFeature(flags, data, size),
            VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_START => LogStartFeature(flags, data, size),
            VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP => LogStopFeature(flags, size),
            VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT => LogReportFeature(flags, data, size),
            VfioUapi.VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2 => PrecopyInfoFeature(flags, size),
            _ => _device.DeviceFeature(flags, data, size),
        };
    }

    private IoResult MigrationFeature(uint flags, UserArgument data, ulong size)
    {
        if (_device.Migration is not { } migration)
        {
            return Errno.ENOTTY;
        }

        return FeatureRequest.ShallExecute(flags, size, FeatureGet, 8, out IoResult done) ? data.Write(0, (ulong)migration.Flags) : done;
    }

    private IoResult MigrationStateFeature(uint flags, UserArgument data, ulong size)
    {
        if (_device.Migration is not { } migration)
        {
            return Errno.ENOTTY;
        }

        if (!FeatureRequest.ShallExecute(flags, size, FeatureGet | FeatureSet, 8, out IoResult done))
        {
            return done;
        }

        Errno error;
        vfio_device_feature_mig_state value;
        if ((flags & FeatureGet) != 0)
        {
            error = migration.GetState(out MigrationState state);
            value = new vfio_device_feature_mig_state { device_state = (uint)state, data_fd = -1 };
            return error != Errno.None ? error : data.Write(0, in value);
        }

        error = data.Read(0, out value);
        if (error != Errno.None)
        {
            return error;
        }

        error = SetMigrationState((MigrationState)value.device_state, out MigrationDataFile? file);
        value.data_fd = -1;
        if (error != Errno.None)
        {
            _ = data.Write(0, in value);
            return error;
        }

        if (file is not null)
        {
            // Failures from here on leave the state changed and the session without a reader, as in the kernel (spec vfio-core Q12).
            IoResult number = data.Files?.Install(file) ?? Errno.EMFILE;
            if (number.IsError)
            {
                file.Dispose();
                return number;
            }

            value.data_fd = (int)number.Value;
        }

        error = data.Write(0, in value);
        if (error != Errno.None && file is not null)
        {
            data.Files!.Remove(value.data_fd);
            file.Dispose();
        }

        return error;
    }

    private IoResult DataSizeFeature(uint flags, UserArgument data, ulong size)
    {
        if (_device.Migration is not { } migration)
        {
            return Errno.ENOTTY;
        }

        if (!FeatureRequest.ShallExecute(flags, size, FeatureGet, 8, out IoResult done))
        {
            return done;
        }

        Errno error = migration.GetDataSize(out ulong length);
        return error != Errno.None ? error : data.Write(0, length);
    }

    private IoResult LogStartFeature(uint flags, UserArgument data, ulong size)
    {
        if (_device.DirtyLog is not { } log)
        {
            return Errno.ENOTTY;
        }

        if (!FeatureRequest.ShallExecute(flags, size, FeatureSet, 24, out IoResult done))
        {
            return done;
        }

        Errno error = data.Read(0, out vfio_device_feature_dma_logging_control control);
        if (error != Errno.None)
        {
            return error;
        }

        if (control.num_ranges == 0)
        {
            return Errno.EINVAL;
        }

        if (control.num_ranges > MaximumLogRanges)
        {
            return Errno.E2BIG;
        }

        IovaRange[] ranges = new IovaRange[control.num_ranges];
        UserArgument list = data.At(control.ranges);
        for (int i = 0; i < ranges.Length; i++)
        {
            error = list.Read((ulong)i * 16, out vfio_device_feature_dma_logging_range range);
            if (error != Errno.None)
            {
                return error;
            }

            if (control.page_size == 0 || range.iova % control.page_size != 0 || range.length % control.page_size != 0)
            {
                return Errno.EINVAL;
            }

            // A range that ends exactly at 2^64 is an overflow here, unlike in type1 (spec vfio-core Q9).
            if (unchecked(range.iova + range.length) < range.iova)
            {
                return Errno.EOVERFLOW;
            }

            if (!IovaRange.TryCreate(range.iova, range.length, out ranges[i]))
            {
                return Errno.EINVAL;
            }
        }

        ulong pageSize = control.page_size;
        error = StartDirtyLog(ranges, ref pageSize);
        if (error != Errno.None)
        {
            return error;
        }

        control.page_size = pageSize;
        error = data.Write(0, in control);
        if (error != Errno.None)
        {
            _ = log.Stop();
        }

        return error;
    }

    private IoResult LogStopFeature(uint flags, ulong size)
    {
        if (_device.DirtyLog is not { } log)
        {
            return Errno.ENOTTY;
        }

        return FeatureRequest.ShallExecute(flags, size, FeatureSet, 0, out IoResult done) ? log.Stop() : done;
    }

    private IoResult LogReportFeature(uint flags, UserArgument data, ulong size)
    {
        if (_device.DirtyLog is not { } log)
        {
            return Errno.ENOTTY;
        }

        if (!FeatureRequest.ShallExecute(flags, size, FeatureGet, 32, out IoResult done))
        {
            return done;
        }

        Errno error = data.Read(0, out vfio_device_feature_dma_logging_report report);
        if (error != Errno.None)
        {
            return error;
        }

        const ulong SmallestPage = 4096;
        if (report.page_size < SmallestPage || !ulong.IsPow2(report.page_size))
        {
            return Errno.EINVAL;
        }

        if (unchecked(report.iova + report.length) < report.iova)
        {
            return Errno.EOVERFLOW;
        }

        if (!IovaRange.TryCreate(report.iova, report.length, out IovaRange range))
        {
            return Errno.EINVAL;
        }

        error = DirtyBitmap.TryCreate(range, report.page_size, MaximumBitmapBytes, out DirtyBitmap? bitmap);
        if (error == Errno.None)
        {
            error = log.ReadAndClear(range, bitmap!);
        }

        return error != Errno.None ? error : MergeBitmap(data.At(report.bitmap), bitmap!.Words);
    }

    /// <summary>Sets the reported bits in the caller's bitmap and clears none (<c>iova_bitmap_set</c>).</summary>
    private static Errno MergeBitmap(UserArgument target, ReadOnlySpan<ulong> words)
    {
        for (int i = 0; i < words.Length; i++)
        {
            if (words[i] == 0)
            {
                continue;
            }

            ulong offset = (ulong)i * sizeof(ulong);
            Errno error = target.Read(offset, out ulong old);
            if (error == Errno.None)
            {
                error = target.Write(offset, old | words[i]);
            }

            if (error != Errno.None)
            {
                return error;
            }
        }

        return Errno.None;
    }

    private IoResult PrecopyInfoFeature(uint flags, ulong size)
    {
        // Its siblings answer ENOTTY when unsupported; this one EINVAL (spec vfio-core Q13).
        if (((_device.Migration?.Flags ?? MigrationFlags.None) & MigrationFlags.PreCopy) == 0)
        {
            return Errno.EINVAL;
        }

        if (!FeatureRequest.ShallExecute(flags, size, FeatureSet, 0, out IoResult done))
        {
            return done;
        }

        _device.PrecopyInfoV2 = true;
        return IoResult.Success();
    }
}

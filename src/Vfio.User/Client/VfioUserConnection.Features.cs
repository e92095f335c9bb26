using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.User;

/// <content>Migration and dirty page logging (spec vfio-user §3.13, §3.15).</content>
public sealed partial class VfioUserConnection
{
    private const int FeatureHeaderSize = 8;

    /// <inheritdoc/>
    public override Errno TryGetMigrationFlags(out MigrationFlags flags)
    {
        Span<byte> data = stackalloc byte[sizeof(ulong)];
        Errno error = GetFeature(VfioUapi.VFIO_DEVICE_FEATURE_MIGRATION, data);
        flags = error == Errno.None ? (MigrationFlags)BinaryPrimitives.ReadUInt64LittleEndian(data) : MigrationFlags.None;
        return error;
    }

    /// <inheritdoc/>
    public override Errno TryGetMigrationState(out MigrationState state)
    {
        Span<byte> data = stackalloc byte[Marshal.SizeOf<vfio_device_feature_mig_state>()];
        Errno error = GetFeature(VfioUapi.VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, data);
        state = error == Errno.None ? (MigrationState)BinaryPrimitives.ReadUInt32LittleEndian(data) : MigrationState.Error;
        return error;
    }

    /// <inheritdoc/>
    public override Errno TrySetMigrationState(MigrationState target)
    {
        Span<byte> data = stackalloc byte[Marshal.SizeOf<vfio_device_feature_mig_state>()];
        MemoryMarshal.Write(data, new vfio_device_feature_mig_state { device_state = (uint)target, data_fd = -1 });
        return SetFeature(VfioUapi.VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, data, default);
    }

    /// <inheritdoc/>
    public override IoResult TryReadMigrationData(Span<byte> buffer)
    {
        int size = Marshal.SizeOf<vfio_user_mig_data>();
        Span<byte> message = stackalloc byte[HeaderSize + size];
        Span<byte> reply = stackalloc byte[size];
        int done = 0;
        while (done < buffer.Length)
        {
            int count = Math.Min(buffer.Length - done, _transfer);
            MemoryMarshal.Write(message[HeaderSize..], new vfio_user_mig_data { argsz = (uint)(size + count), size = (uint)count });
            Errno error = _channel.Exchange(
                VfioUserCommand.MigrationDataRead, message, default, default, reply, buffer.Slice(done, count), out int length);
            if (error != Errno.None)
            {
                return done > 0 ? IoResult.Success(done) : error;
            }

            // The reply may be padded to what was asked: its size field is what counts.
            uint got = length < size ? uint.MaxValue : MemoryMarshal.Read<vfio_user_mig_data>(reply).size;
            if (got > (uint)count || got > (uint)(length - size))
            {
                return Errno.EPROTO;
            }

            done += (int)got;
            if (got < (uint)count)
            {
                break;
            }
        }

        return IoResult.Success(done);
    }

    /// <inheritdoc/>
    public override IoResult TryWriteMigrationData(ReadOnlySpan<byte> data)
    {
        int size = Marshal.SizeOf<vfio_user_mig_data>();
        Span<byte> message = stackalloc byte[HeaderSize + size];
        int done = 0;
        while (done < data.Length)
        {
            int count = Math.Min(data.Length - done, _transfer);
            MemoryMarshal.Write(message[HeaderSize..], new vfio_user_mig_data { argsz = (uint)(size + count), size = (uint)count });
            Errno error = _channel.Exchange(VfioUserCommand.MigrationDataWrite, message, data.Slice(done, count), default, default, default, out _);
            if (error != Errno.None)
            {
                return done > 0 ? IoResult.Success(done) : error;
            }

            done += count;
        }

        return IoResult.Success(done);
    }

    /// <inheritdoc/>
    public override Errno TryStartDirtyLog(ReadOnlySpan<IovaRange> ranges, ref ulong pageSize)
    {
        const int RangeSize = 16;
        int size = Marshal.SizeOf<vfio_user_dma_logging_control>();
        byte[] data = new byte[size + (ranges.Length * RangeSize)];
        MemoryMarshal.Write(data, new vfio_user_dma_logging_control { page_size = pageSize, num_ranges = (uint)ranges.Length });
        for (int i = 0; i < ranges.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(data.AsSpan(size + (i * RangeSize)), ranges[i].Start);
            BinaryPrimitives.WriteUInt64LittleEndian(data.AsSpan(size + (i * RangeSize) + 8), ranges[i].Length);
        }

        Span<byte> answer = stackalloc byte[sizeof(ulong)];
        Errno error = SetFeature(VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_START, data, answer);
        if (error == Errno.None)
        {
            pageSize = BinaryPrimitives.ReadUInt64LittleEndian(answer);
        }

        return error;
    }

    /// <inheritdoc/>
    public override Errno TryStopDirtyLog() => SetFeature(VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, default, default);

    /// <inheritdoc/>
    /// <remarks>A bitmap that does not fit a message is asked for in pieces.</remarks>
    public override Errno TryReadDirtyLog(IovaRange range, ulong pageSize, Span<ulong> bitmap)
    {
        const ulong PagesPerWord = 64;
        if (!ulong.IsPow2(pageSize))
        {
            return Errno.EINVAL;
        }

        ulong pages = ((range.Last - range.Start) / pageSize) + 1;
        if (pages == 0 || pages > (ulong)bitmap.Length * PagesPerWord)
        {
            return Errno.EINVAL; // No room, or 2⁶⁴ pages.
        }

        ulong start = range.Start;
        int wordsAtOnce = Math.Max(1, (_transfer - 64) / sizeof(ulong));
        while (true)
        {
            int words = (int)Math.Min((ulong)wordsAtOnce, (pages + PagesPerWord - 1) / PagesPerWord);
            ulong here = Math.Min(pages, (ulong)words * PagesPerWord);
            ulong last = here == pages ? range.Last : start + (here * pageSize) - 1;
            Errno error = ReadDirtyLog(start, last - start + 1, pageSize, bitmap[..words]);
            if (error != Errno.None || here == pages)
            {
                return error;
            }

            start = last + 1;
            pages -= here;
            bitmap = bitmap[words..];
        }
    }

    private Errno ReadDirtyLog(ulong start, ulong length, ulong pageSize, Span<ulong> bitmap)
    {
        int size = Marshal.SizeOf<vfio_user_dma_logging_report>();
        int fixedSize = FeatureHeaderSize + size;
        Span<byte> bits = MemoryMarshal.AsBytes(bitmap);
        Span<byte> message = stackalloc byte[HeaderSize + fixedSize];
        Span<byte> reply = stackalloc byte[fixedSize];
        MemoryMarshal.Write(message[HeaderSize..], new vfio_device_feature
        {
            argsz = (uint)(fixedSize + bits.Length),
            flags = VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT | VfioUapi.VFIO_DEVICE_FEATURE_GET,
        });
        MemoryMarshal.Write(
            message[(HeaderSize + FeatureHeaderSize)..],
            new vfio_user_dma_logging_report { iova = start, length = length, page_size = pageSize });
        Errno error = _channel.Exchange(VfioUserCommand.DeviceFeature, message, default, default, reply, bits, out int received);
        return error != Errno.None ? error : received != fixedSize + bits.Length ? Errno.EPROTO : Errno.None;
    }

    private Errno GetFeature(uint feature, Span<byte> data)
    {
        Span<byte> message = stackalloc byte[HeaderSize + FeatureHeaderSize];
        Span<byte> reply = stackalloc byte[FeatureHeaderSize];
        MemoryMarshal.Write(message[HeaderSize..], new vfio_device_feature
        {
            argsz = (uint)(FeatureHeaderSize + data.Length),
            flags = feature | VfioUapi.VFIO_DEVICE_FEATURE_GET,
        });
        Errno error = _channel.Exchange(VfioUserCommand.DeviceFeature, message, default, default, reply, data, out int length);
        return error != Errno.None ? error : length < FeatureHeaderSize + data.Length ? Errno.EPROTO : Errno.None;
    }

    /// <summary>Sets a feature; the server repeats the data, possibly changed.</summary>
    private Errno SetFeature(uint feature, ReadOnlySpan<byte> data, Span<byte> answer)
    {
        Span<byte> message = stackalloc byte[HeaderSize + FeatureHeaderSize];
        Span<byte> reply = stackalloc byte[FeatureHeaderSize];
        MemoryMarshal.Write(message[HeaderSize..], new vfio_device_feature
        {
            argsz = (uint)(FeatureHeaderSize + data.Length),
            flags = feature | VfioUapi.VFIO_DEVICE_FEATURE_SET,
        });
        Errno error = _channel.Exchange(VfioUserCommand.DeviceFeature, message, data, default, reply, answer, out int length);
        return error != Errno.None ? error : length < FeatureHeaderSize + answer.Length ? Errno.EPROTO : Errno.None;
    }
}

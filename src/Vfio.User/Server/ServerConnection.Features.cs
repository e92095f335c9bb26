using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.User;

internal sealed partial class ServerConnection
{
    private const int FeatureHeaderSize = 8;
    private const uint FeatureGet = VfioUapi.VFIO_DEVICE_FEATURE_GET;
    private const uint FeatureSet = VfioUapi.VFIO_DEVICE_FEATURE_SET;
    private const uint FeatureProbe = VfioUapi.VFIO_DEVICE_FEATURE_PROBE;
    private MigrationDataFile? _migrationData;

    private void DeviceFeature(ReadOnlySpan<byte> payload)
    {
        if (!TryRead(payload, out vfio_device_feature feature) || feature.argsz < FeatureHeaderSize)
        {
            ReplyError(Errno.EINVAL);
            return;
        }

        uint index = feature.flags & VfioUapi.VFIO_DEVICE_FEATURE_MASK;
        uint operation = feature.flags & (FeatureGet | FeatureSet);
        bool probe = (feature.flags & FeatureProbe) != 0;
        uint supported = SupportedOperations(index);
        if (operation == 0
            || (operation & ~supported) != 0
            || (operation == (FeatureGet | FeatureSet) && !probe)
            || !IsFeaturePresent(index))
        {
            ReplyError(Errno.EINVAL);
            return;
        }

        if (probe)
        {
            Reply(payload);
            return;
        }

        ReadOnlySpan<byte> data = payload[FeatureHeaderSize..];
        switch (index)
        {
            case VfioUapi.VFIO_DEVICE_FEATURE_MIGRATION:
                MigrationFeature(feature);
                break;
            case VfioUapi.VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE when operation == FeatureGet:
                GetMigrationState(feature);
                break;
            case VfioUapi.VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE:
                SetMigrationState(feature, payload, data);
                break;
            case VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_START:
                StartLogging(feature, payload, data);
                break;
            case VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP:
                Errno error = _file!.StopDirtyLog();
                if (error == Errno.None)
                {
                    Reply(payload);
                }
                else
                {
                    ReplyError(error);
                }

                break;
            default:
                ReportLogging(feature, data);
                break;
        }
    }

    private static uint SupportedOperations(uint index) => index switch
    {
        VfioUapi.VFIO_DEVICE_FEATURE_MIGRATION => FeatureGet,
        VfioUapi.VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE => FeatureGet | FeatureSet,
        VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_START => FeatureSet,
        VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP => FeatureSet,
        VfioUapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT => FeatureGet,
        _ => 0,
    };

    private bool IsFeaturePresent(uint index) => index switch
    {
        VfioUapi.VFIO_DEVICE_FEATURE_MIGRATION or VfioUapi.VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE
            => _file!.GetMigrationFlags(out _) == Errno.None,
        _ => _file!.Device.HasDirtyLog,
    };

    private void MigrationFeature(vfio_device_feature feature)
    {
        Errno error = _file!.GetMigrationFlags(out MigrationFlags flags);
        if (error != Errno.None || feature.argsz < FeatureHeaderSize + sizeof(ulong))
        {
            ReplyError(Errno.EINVAL);
            return;
        }

        Span<byte> reply = stackalloc byte[FeatureHeaderSize + sizeof(ulong)];
        feature.argsz = (uint)reply.Length;
        MemoryMarshal.Write(reply, in feature);
        BinaryPrimitives.WriteUInt64LittleEndian(reply[FeatureHeaderSize..], (ulong)flags);
        Reply(reply);
    }

    private void GetMigrationState(vfio_device_feature feature)
    {
        Errno error = _file!.GetMigrationState(out MigrationState state);
        if (error != Errno.None || feature.argsz < FeatureHeaderSize + Marshal.SizeOf<vfio_device_feature_mig_state>())
        {
            ReplyError(error != Errno.None ? error : Errno.EINVAL);
            return;
        }

        Span<byte> reply = stackalloc byte[FeatureHeaderSize + Marshal.SizeOf<vfio_device_feature_mig_state>()];
        feature.argsz = (uint)reply.Length;
        MemoryMarshal.Write(reply, in feature);
        MemoryMarshal.Write(reply[FeatureHeaderSize..], new vfio_device_feature_mig_state { device_state = (uint)state, data_fd = -1 });
        Reply(reply);
    }

    private void SetMigrationState(vfio_device_feature feature, ReadOnlySpan<byte> payload, ReadOnlySpan<byte> data)
    {
        if (!TryRead(data, out vfio_device_feature_mig_state wanted)
            || feature.argsz < FeatureHeaderSize + Marshal.SizeOf<vfio_device_feature_mig_state>())
        {
            ReplyError(Errno.EINVAL);
            return;
        }

        Errno error = _file!.SetMigrationState((MigrationState)wanted.device_state, out MigrationDataFile? opened);
        if (opened is not null)
        {
            _migrationData = opened;
        }

        if (error != Errno.None)
        {
            ReplyError(error);
        }
        else
        {
            Reply(payload);
        }
    }

    private void StartLogging(vfio_device_feature feature, ReadOnlySpan<byte> payload, ReadOnlySpan<byte> data)
    {
        int size = Marshal.SizeOf<vfio_user_dma_logging_control>();
        const int RangeSize = 16;
        const int MaximumRanges = 256;
        if (!TryRead(data, out vfio_user_dma_logging_control control)
            || control.num_ranges > MaximumRanges
            || data.Length - size < (int)control.num_ranges * RangeSize
            || feature.argsz < FeatureHeaderSize + size + ((int)control.num_ranges * RangeSize))
        {
            ReplyError(Errno.EINVAL);
            return;
        }

        IovaRange[] ranges = new IovaRange[control.num_ranges];
        for (int i = 0; i < ranges.Length; i++)
        {
            ReadOnlySpan<byte> range = data[(size + (i * RangeSize))..];
            if (!IovaRange.TryCreate(BinaryPrimitives.ReadUInt64LittleEndian(range), BinaryPrimitives.ReadUInt64LittleEndian(range[8..]), out ranges[i]))
            {
                ReplyError(Errno.EINVAL);
                return;
            }
        }

        ulong pageSize = control.page_size;
        Errno error = _file!.StartDirtyLog(ranges, ref pageSize);
        if (error != Errno.None)
        {
            ReplyError(error);
            return;
        }

        byte[] reply = payload.ToArray();
        BinaryPrimitives.WriteUInt64LittleEndian(reply.AsSpan(FeatureHeaderSize), pageSize);
        Reply(reply);
    }

    private void ReportLogging(vfio_device_feature feature, ReadOnlySpan<byte> data)
    {
        int size = Marshal.SizeOf<vfio_user_dma_logging_report>();
        if (!TryRead(data, out vfio_user_dma_logging_report report) || !IovaRange.TryCreate(report.iova, report.length, out IovaRange range))
        {
            ReplyError(Errno.EINVAL);
            return;
        }

        Errno error = DirtyBitmap.TryCreate(range, report.page_size, _options.MaximumDataTransferSize, out DirtyBitmap? bitmap);
        if (error != Errno.None || feature.argsz < (ulong)FeatureHeaderSize + (ulong)size + ((ulong)bitmap!.Words.Length * sizeof(ulong)))
        {
            ReplyError(Errno.EINVAL);
            return;
        }

        error = _file!.ReadDirtyLog(range, bitmap);
        if (error != Errno.None)
        {
            ReplyError(error);
            return;
        }

        ReadOnlySpan<byte> bits = MemoryMarshal.AsBytes(bitmap.Words);
        byte[] reply = new byte[FeatureHeaderSize + size + bits.Length];
        feature.argsz = (uint)reply.Length;
        MemoryMarshal.Write(reply, in feature);
        MemoryMarshal.Write(reply.AsSpan(FeatureHeaderSize), in report);
        bits.CopyTo(reply.AsSpan(FeatureHeaderSize + size));
        Reply(reply);
    }

    private void MigrationDataRead(ReadOnlySpan<byte> payload)
    {
        if (!TryRead(payload, out vfio_user_mig_data request)
            || _migrationData is null
            || _file!.GetMigrationState(out MigrationState state) != Errno.None
            || state is not (MigrationState.PreCopy or MigrationState.PreCopyP2P or MigrationState.StopCopy)
            || request.size > Math.Min(_client.MaxDataTransferSize, _options.MaximumDataTransferSize)
            || request.argsz < FeatureHeaderSize + (ulong)request.size)
        {
            ReplyError(Errno.EINVAL);
            return;
        }

        // The reply has room for all that was asked, padded with zeros: libvfio-user's client wants exactly that (spec vfio-user §3.15).
        Span<byte> reply = _writer.Begin(ReplyHeader, FeatureHeaderSize + (int)request.size);
        reply.Clear();
        Span<byte> rest = reply[FeatureHeaderSize..];
        uint done = 0;
        while (!rest.IsEmpty)
        {
            IoResult result = _migrationData.Read(rest);
            if (result.IsError && result.Error != Errno.ENOMSG)
            {
                _writer.Cancel();
                ReplyError(result.Error);
                return;
            }

            if (result.Count == 0)
            {
                break;
            }

            done += (uint)result.Count;
            rest = rest[result.Count..];
        }

        request.argsz = FeatureHeaderSize + done;
        request.size = done;
        MemoryMarshal.Write(reply, in request);
        if (IsPosted)
        {
            _writer.Cancel();
            return;
        }

        _writer.Commit();
        _replied = true;
    }

    private Errno MigrationDataWrite(ReadOnlySpan<byte> payload)
    {
        if (!TryRead(payload, out vfio_user_mig_data request)
            || _migrationData is null
            || _file!.GetMigrationState(out MigrationState state) != Errno.None
            || state != MigrationState.Resuming
            || request.size > _options.MaximumDataTransferSize
            || request.argsz < FeatureHeaderSize + (ulong)request.size
            || (ulong)payload.Length < FeatureHeaderSize + (ulong)request.size)
        {
            return Errno.EINVAL;
        }

        ReadOnlySpan<byte> data = payload.Slice(FeatureHeaderSize, (int)request.size);
        while (!data.IsEmpty)
        {
            IoResult result = _migrationData.Write(data);
            if (result.IsError || result.Count == 0)
            {
                return result.IsError ? result.Error : Errno.EINVAL;
            }

            data = data[result.Count..];
        }

        return Errno.None;
    }
}

using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.User;

internal sealed partial class ServerConnection
{
    private void Dispatch(Span<byte> payload)
    {
        VfioUserCommand command = (VfioUserCommand)_current.cmd;
        if (_descriptors.Truncated)
        {
            ReplyError(Errno.EMFILE);
            return;
        }

        if (!_negotiated)
        {
            Negotiate(command, payload);
            return;
        }

        switch (command)
        {
            case VfioUserCommand.RegionRead:
                RegionRead(payload);
                break;
            case VfioUserCommand.RegionWrite:
                RegionWrite(payload);
                break;
            case VfioUserCommand.RegionWriteMulti:
                RegionWriteMulti(payload);
                break;
            case VfioUserCommand.DmaMap:
                Reply(DmaMap(payload));
                break;
            case VfioUserCommand.DmaUnmap:
                DmaUnmap(payload);
                break;
            case VfioUserCommand.DeviceGetInfo:
                DeviceGetInfo(payload);
                break;
            case VfioUserCommand.DeviceGetRegionInfo:
                DeviceGetRegionInfo(payload);
                break;
            case VfioUserCommand.DeviceGetRegionIoFds:
                DeviceGetRegionIoFds(payload);
                break;
            case VfioUserCommand.DeviceGetIrqInfo:
                DeviceGetIrqInfo(payload);
                break;
            case VfioUserCommand.DeviceSetIrqs:
                Reply(DeviceSetIrqs(payload));
                break;
            case VfioUserCommand.DeviceReset:
                Reply(_file!.Reset());
                break;
            case VfioUserCommand.DeviceFeature:
                DeviceFeature(payload);
                break;
            case VfioUserCommand.MigrationDataRead:
                MigrationDataRead(payload);
                break;
            case VfioUserCommand.MigrationDataWrite:
                Reply(MigrationDataWrite(payload));
                break;
            default:
                ReplyError(Errno.EINVAL);
                break;
        }
    }

    private static bool TryRead<T>(ReadOnlySpan<byte> payload, out T value)
        where T : unmanaged
        => MemoryMarshal.TryRead(payload, out value);

    private void Negotiate(VfioUserCommand command, Span<byte> payload)
    {
        if (command != VfioUserCommand.Version
            || !TryRead(payload, out vfio_user_version version)
            || version.major != VfioUserWire.VersionMajor
            || VfioUserCapabilities.TryParse(payload[Marshal.SizeOf<vfio_user_version>()..], out _client) != Errno.None)
        {
            ReplyError(Errno.EINVAL);
            _writer.Flush();
            Finish(ConnectionEnd.NegotiationFailed);
            return;
        }

        ushort minor = Math.Min(version.minor, VfioUserWire.VersionMinor);
        bool twin = _client.TwinSocket && _client.MaxMessageFds > 0;
        VfioUserCapabilities ours = VfioUserCapabilities.Default with
        {
            MaxMessageFds = _options.MaximumMessageFds,
            MaxDataTransferSize = _options.MaximumDataTransferSize,
            WriteMultiple = _options.AnnounceWriteMultiple,
            MigrationPageSize = _file!.GetMigrationFlags(out _) == Errno.None ? 4096u : 0u,
            TwinSocket = twin,
            TwinFdIndex = 0,
        };

        const int MinimumJson = 256;
        Span<byte> json = stackalloc byte[512];
        bool hasJson = payload.Length > Marshal.SizeOf<vfio_user_version>();

        // QEMU receives the reply into the buffer of its request, so a reply to JSON is not longer than it (spec vfio-user §2.3).
        int limit = hasJson ? Math.Min(json.Length, payload.Length - Marshal.SizeOf<vfio_user_version>()) : MinimumJson;
        int length = ours.Write(json, twin ? json.Length : limit);
        byte[] reply = new byte[Marshal.SizeOf<vfio_user_version>() + length];
        MemoryMarshal.Write(reply, new vfio_user_version { major = VfioUserWire.VersionMajor, minor = minor });
        json[..length].CopyTo(reply.AsSpan(Marshal.SizeOf<vfio_user_version>()));

        _negotiated = true;
        LogNegotiated(_deviceName, minor, _client.MaxDataTransferSize, _client.MaxMessageFds);
        if (twin)
        {
            UnixSocket.CreatePair(out UnixSocket mine, out UnixSocket theirs);
            using (theirs)
            {
                Reply(reply, [theirs.Descriptor]);
            }

            _twin = mine;
        }
        else
        {
            Reply(reply);
        }

        uint chunk = Math.Min(_client.MaxDataTransferSize, _options.MaximumDataTransferSize);
        _reverse = new ReverseChannel(this, chunk, _twin);
    }
}

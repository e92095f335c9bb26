using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.User;

/// <content>The VERSION message (spec vfio-user §2).</content>
public sealed partial class VfioUserConnection
{
    private void Negotiate()
    {
        string operation = $"negotiate with {Address}";
        int versionSize = Marshal.SizeOf<vfio_user_version>();
        Span<byte> message = stackalloc byte[HeaderSize + versionSize + 512];
        MemoryMarshal.Write(message[HeaderSize..], new vfio_user_version { major = VfioUserWire.VersionMajor, minor = VfioUserWire.VersionMinor });
        VfioUserCapabilities ours = VfioUserCapabilities.Default with
        {
            MaxMessageFds = _options.MaximumMessageFds,
            MaxDataTransferSize = _options.MaximumDataTransferSize,
            TwinSocket = _options.OfferTwinSocket && _options.MaximumMessageFds > 0,
            TwinFdIndex = -1,
        };
        int json = ours.Write(message[(HeaderSize + versionSize)..], 512);

        byte[] reply = new byte[versionSize + VfioUserCapabilities.MaximumJson];
        using DescriptorList descriptors = new();
        Errno error = _channel.Exchange(
            VfioUserCommand.Version, message[..(HeaderSize + versionSize + json)], default, default, reply, default, out int length, descriptors);
        VfioException.ThrowIfError(error, operation, error switch
        {
            Errno.ETIMEDOUT => "The server took the connection and did not answer in time: is it a vfio-user server, and is another client attached to it?",
            Errno.ENOTCONN => "The server closed the connection: another client may be attached to it, or it serves other users only.",
            Errno.EPROTO => "What came back is no vfio-user message: another kind of server listens there.",
            _ => "The server refused the version or the capabilities of this client.",
        });

        if (length < versionSize)
        {
            throw new VfioException(Errno.EPROTO, operation, "The server's reply is too short to hold a version.");
        }

        vfio_user_version version = MemoryMarshal.Read<vfio_user_version>(reply);
        if (version.major != VfioUserWire.VersionMajor || version.minor > VfioUserWire.VersionMinor)
        {
            throw new VfioException(
                Errno.EPROTO,
                operation,
                $"The server answered version {version.major}.{version.minor} to an offer of {VfioUserWire.VersionMajor}.{VfioUserWire.VersionMinor}; it may only answer the same or an earlier minor one.");
        }

        if (length > reply.Length || VfioUserCapabilities.TryParse(reply.AsSpan(versionSize, length - versionSize), out VfioUserCapabilities theirs) != Errno.None)
        {
            throw new VfioException(
                Errno.EPROTO,
                operation,
                $"The server's capabilities are not a JSON object of at most {VfioUserCapabilities.MaximumJson} bytes, or hold values out of range.");
        }

        ServerCapabilities = theirs;
        MinorVersion = version.minor;
        _transfer = (int)Math.Min(theirs.MaxDataTransferSize, _options.MaximumDataTransferSize);
        if (theirs.TwinSocket && ours.TwinSocket)
        {
            FileDescriptor? twin = theirs.TwinFdIndex >= 0 && theirs.TwinFdIndex < descriptors.Count ? descriptors.Take(theirs.TwinFdIndex) : null;
            if (twin is null)
            {
                throw new VfioException(Errno.EPROTO, operation, "The server announced a second socket and did not send it.");
            }

            _twin = new UnixSocket(twin);
            if (_twin.TryGetListening(out bool listening) != Errno.None || listening)
            {
                throw new VfioException(Errno.EPROTO, operation, "What the server sent as its second socket is no connected socket.");
            }

            _twin.SetSendTimeout(Limit(_options.ReplyTimeout));
            _twinThread = new Thread(RunTwin) { IsBackground = true, Name = "vfio-user client DMA" };
            _twinThread.Start();
        }
        else
        {
            _channel.StartBackground();
        }

        _channel.Timeout = Limit(_options.ReplyTimeout);
    }

    /// <summary>Serves the server's commands on the second socket until it ends.</summary>
    private void RunTwin()
    {
        ReverseService service = new(_access, new MessageWriter(_twin!), _options.MaximumDataTransferSize);
        using MessageReader reader = new(_twin!, MaximumMessage);
        while (true)
        {
            switch (reader.TryTake(out VfioUserHeader header, out Span<byte> payload))
            {
                case FrameStatus.Message:
                    if (((VfioUserFlags)header.flags & VfioUserFlags.TypeMask) == VfioUserFlags.Command)
                    {
                        service.Serve(header, payload);
                    }

                    break;
                case FrameStatus.NeedMore:
                    IoResult result = reader.Fill(ReceiveFlags.None);
                    if (result.IsError || result.Value == 0)
                    {
                        return;
                    }

                    break;
                default:
                    // The stream cannot be followed; the server notices by the end of it.
                    _twin!.Shutdown();
                    return;
            }
        }
    }
}

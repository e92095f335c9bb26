using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.User;

internal sealed partial class ServerConnection
{
    /// <summary>Whether the client wants no reply to the current command, not even an error.</summary>
    private bool IsPosted => ((VfioUserFlags)_current.flags & VfioUserFlags.NoReply) != 0;

    private VfioUserHeader ReplyHeader => new()
    {
        msg_id = _current.msg_id,
        cmd = _current.cmd,
        flags = (uint)VfioUserFlags.Reply,
    };

    private void ReplyError(Errno error)
    {
        LogRefused(error);
        if (IsPosted || _replied)
        {
            return;
        }

        VfioUserHeader header = ReplyHeader;
        header.flags |= (uint)VfioUserFlags.Error;
        header.error_no = (uint)error;
        _writer.Begin(header, 0);
        _writer.Commit();
        _replied = true;
    }

    /// <summary>Answers with an error, or with the header alone.</summary>
    private void Reply(Errno error)
    {
        if (error != Errno.None)
        {
            ReplyError(error);
        }
        else
        {
            Reply([]);
        }
    }

    private void Reply(ReadOnlySpan<byte> payload)
    {
        if (IsPosted || _replied)
        {
            return;
        }

        payload.CopyTo(_writer.Begin(ReplyHeader, payload.Length));
        _writer.Commit();
        _replied = true;
    }

    private void Reply(ReadOnlySpan<byte> payload, ReadOnlySpan<FileDescriptor> descriptors)
    {
        if (IsPosted || _replied)
        {
            return;
        }

        payload.CopyTo(_writer.Begin(ReplyHeader, payload.Length));
        _writer.CommitWith(descriptors);
        _replied = true;
    }
}

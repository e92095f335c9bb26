using Vfio.Abi;
using Vfio.User.Tests.Conformance;

namespace Vfio.Siege;

/// <summary>
/// Messages that were answered in a way which none before was: what is sent next is made of them, one time in three. The answer stands for the path
/// through the server, of which nothing else is to be seen from outside: the command, its error, the sizes of message and reply.
/// </summary>
internal sealed class MutationCorpus
{
    private const int Most = 8192;
    private readonly Lock _lock = new();
    private readonly HashSet<ulong> _seen = [];
    private readonly List<byte[]> _kept = [];

    /// <summary>Kinds of answers so far.</summary>
    public int Answers
    {
        get
        {
            lock (_lock)
            {
                return _seen.Count;
            }
        }
    }

    /// <summary>The next message, changed or not.</summary>
    /// <param name="random">The lane's numbers.</param>
    /// <param name="id">The message's number, which mutation leaves alone.</param>
    public byte[] Next(Random random, ushort id)
    {
        byte[]? kept = null;
        if (random.Next(3) == 0)
        {
            lock (_lock)
            {
                kept = _kept.Count > 0 ? (byte[])_kept[random.Next(_kept.Count)].Clone() : null;
            }
        }

        if (kept is null)
        {
            return Mutation.Apply(random, SoundMessages.Next(random, id));
        }

        BitConverter.TryWriteBytes(kept, id);
        return Mutation.Apply(random, kept);
    }

    /// <summary>A message was answered.</summary>
    /// <param name="message">As it was sent.</param>
    /// <param name="reply">The reply's header.</param>
    public void Note(byte[] message, in VfioUserHeader reply)
    {
        // Sizes by their power of two, which tells information with capabilities from information without.
        ulong answer = ((ulong)reply.cmd << 48) | ((ulong)(reply.flags & 0x3F) << 40) | ((ulong)(reply.error_no & 0xFFFF) << 16) | (Size((uint)message.Length) << 8) | Size(reply.msg_size);
        lock (_lock)
        {
            if (_seen.Add(answer) && _kept.Count < Most)
            {
                _kept.Add(message);
            }
        }
    }

    private static ulong Size(uint bytes) => (ulong)(32 - System.Numerics.BitOperations.LeadingZeroCount(bytes));
}

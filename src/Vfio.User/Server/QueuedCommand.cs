using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.User;

/// <summary>A command that arrived while its connection's thread waits for an answer of the client's. Used again and again.</summary>
internal sealed class QueuedCommand
{
    /// <summary>How many of them a connection keeps for the next time.</summary>
    public const int MaximumFree = 32;

    private const int MaximumKept = 4096;
    private byte[] _payload = [];
    private int _length;

    /// <summary>The command's header.</summary>
    public VfioUserHeader Header { get; private set; }

    /// <summary>What follows it.</summary>
    public Span<byte> Payload => _payload.AsSpan(0, _length);

    /// <summary>The descriptors that came with it.</summary>
    public DescriptorList Descriptors { get; } = new();

    /// <summary>What it counts against the bound of what is queued.</summary>
    public int Cost { get; private set; }

    /// <summary>Takes a command over from the reader.</summary>
    public void Fill(VfioUserHeader header, ReadOnlySpan<byte> payload, DescriptorList descriptors, int cost)
    {
        Header = header;
        Cost = cost;
        _length = payload.Length;
        if (_payload.Length < _length)
        {
            _payload = GC.AllocateUninitializedArray<byte>(_length);
        }

        payload.CopyTo(_payload);
        descriptors.MoveTo(Descriptors);
    }

    /// <summary>Closes descriptors that nobody took, and gives a large buffer back.</summary>
    public void Clear()
    {
        Descriptors.Clear();
        if (_payload.Length > MaximumKept)
        {
            _payload = [];
        }
    }
}

using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.User;

/// <summary>A request of a client that waits for its reply. Pooled; all members are guarded by the lock of its <see cref="ClientChannel"/>.</summary>
internal sealed class PendingRequest
{
    /// <summary>Set when there is something to look at: the request is done, or its thread shall receive for all.</summary>
    public ManualResetEventSlim Signal { get; } = new(false, spinCount: 0);

    public ushort Id { get; set; }

    public VfioUserCommand Command { get; set; }

    /// <summary>Its thread waits on <see cref="Signal"/>.</summary>
    public bool IsWaiting { get; set; }

    /// <summary>The role of the receiver was handed to its thread.</summary>
    public bool MustReceive { get; set; }

    /// <summary>Another thread has received its reply, or the connection has ended.</summary>
    public bool IsDone { get; set; }

    public Errno Error { get; set; }

    /// <summary>The reply's payload, in the first <see cref="Length"/> bytes.</summary>
    public byte[] Data { get; private set; } = [];

    public int Length { get; private set; }

    public DescriptorList Descriptors { get; } = new();

    public void Start(ushort id, VfioUserCommand command)
    {
        Id = id;
        Command = command;
        IsWaiting = false;
        MustReceive = false;
        IsDone = false;
        Error = Errno.None;
        Length = 0;
        Signal.Reset();
    }

    public void Keep(ReadOnlySpan<byte> payload)
    {
        if (Data.Length < payload.Length)
        {
            Data = GC.AllocateUninitializedArray<byte>(payload.Length);
        }

        payload.CopyTo(Data);
        Length = payload.Length;
    }
}

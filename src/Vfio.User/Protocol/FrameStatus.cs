namespace Vfio.User;

/// <summary>What <see cref="MessageReader.TryTake"/> found.</summary>
internal enum FrameStatus
{
    /// <summary>No whole message is there yet.</summary>
    NeedMore,

    /// <summary>A message.</summary>
    Message,

    /// <summary>A header that claims less than its own size: the stream cannot be followed any more.</summary>
    TooSmall,

    /// <summary>A header that claims more than is accepted: the stream is not followed any more.</summary>
    TooLarge,
}

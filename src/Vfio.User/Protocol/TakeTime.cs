namespace Vfio.User;

/// <summary>
/// When commands are taken out of their socket. The kernel then frees them, which takes time, and wakes up a sender that sleeps there.
/// </summary>
internal enum TakeTime
{
    /// <summary>When they are found: the sender, if it sleeps, wakes up while they are being handled.</summary>
    AtOnce,

    /// <summary>When they have been handled: the sender wakes up while the answer is being sent. Those that may come with descriptors are taken at once.</summary>
    BeforeAnswer,

    /// <summary>
    /// When they have been answered, and the device has done what it leaves to the thread: the sender, who may wait for an interrupt, waits for none of it. Those that may
    /// come with descriptors are taken at once.
    /// </summary>
    AfterAnswer,

    /// <summary>The same for all. Of those that may come with descriptors the last byte is taken after the answer, which frees them and is one call more.</summary>
    LastByteAfterAnswer,
}

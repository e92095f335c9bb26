using Vfio.Abi;

namespace Vfio.Drivers.Nvme;

/// <summary>What a queue needs of its controller. Called without the queue's lock.</summary>
internal interface IQueueOwner
{
    /// <summary>The watchdog's clock.</summary>
    int Tick { get; }

    /// <summary>Whether continuations run on the thread that finds the completion.</summary>
    bool RunsInline { get; }

    /// <summary>The address that was opened, for messages.</summary>
    string Address { get; }

    /// <summary>Why the controller failed, for messages.</summary>
    string? FailureReason { get; }

    /// <summary>A command was sent: whoever polls must be awake.</summary>
    void CommandSent();

    /// <summary>The queue's doorbell cannot be rung any more.</summary>
    void DeviceLost(Errno error);

    /// <summary>The device wrote a completion that belongs to no command.</summary>
    void InvalidCompletion();
}

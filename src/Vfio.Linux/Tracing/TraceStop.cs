namespace Vfio.Linux;

/// <summary>Why a traced thread stopped, or how it ended: the status that <c>wait4</c> gave.</summary>
/// <param name="Status">The raw status.</param>
public readonly record struct TraceStop(int Status)
{
    /// <summary>The thread stopped.</summary>
    public bool IsStopped => (Status & 0xFF) == 0x7F;

    /// <summary>The signal of a stop: the one about to be delivered, the one that stopped the group, or SIGTRAP at an event.</summary>
    public int Signal => (Status >> 8) & 0xFF;

    /// <summary>The event of a stop; <see cref="TraceEvent.None"/> when a signal is about to be delivered.</summary>
    public TraceEvent Event => IsStopped ? (TraceEvent)(Status >> 16) : TraceEvent.None;

    /// <summary>The thread ended by itself; <see cref="ExitCode"/> says with what.</summary>
    public bool IsExited => (Status & 0x7F) == 0;

    /// <summary>What it passed to exit, 0…255.</summary>
    public int ExitCode => (Status >> 8) & 0xFF;

    /// <summary>The signal that killed it; 0 when none did.</summary>
    public int TerminationSignal => IsStopped ? 0 : Status & 0x7F;
}

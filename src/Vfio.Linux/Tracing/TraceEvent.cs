namespace Vfio.Linux;

/// <summary>Events at which a traced thread stops; the values are those of <c>PTRACE_EVENT_…</c>.</summary>
public enum TraceEvent
{
    /// <summary>No event: a signal is about to be delivered.</summary>
    None = 0,

    /// <summary>It has forked.</summary>
    Fork = 1,

    /// <summary>It has forked with memory shared.</summary>
    VirtualFork = 2,

    /// <summary>It has cloned.</summary>
    Clone = 3,

    /// <summary>It runs a new program. The message is the number of the thread that called, which has now the process's.</summary>
    Exec = 4,

    /// <summary>It is about to end. The message is its status.</summary>
    Exit = 6,

    /// <summary>A new thread's first stop, or with a stop signal the stop of its whole group.</summary>
    Stop = 128,
}

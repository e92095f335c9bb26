namespace Vfio.Linux;

/// <summary>What a tracer asks for when it seizes a thread; the values are those of <c>PTRACE_O_…</c>.</summary>
[Flags]
public enum TraceOptions
{
    /// <summary>Signals and group-stops alone.</summary>
    None = 0,

    /// <summary>Children of fork are traced from their first instruction.</summary>
    Fork = 1 << 1,

    /// <summary>Children of vfork are traced from their first instruction.</summary>
    VirtualFork = 1 << 2,

    /// <summary>Threads, and other children of clone, are traced from their first instruction.</summary>
    Clone = 1 << 3,

    /// <summary>A stop after each successful execve.</summary>
    Exec = 1 << 4,

    /// <summary>A stop of each thread that is about to end.</summary>
    Exit = 1 << 6,

    /// <summary>The end of the tracing thread kills whatever it traces.</summary>
    KillOnExit = 1 << 20,
}

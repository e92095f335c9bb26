namespace Vfio.Run.Tracing;

/// <summary>Numbers of signals on x86-64.</summary>
internal static class Signals
{
    internal const int Illegal = 4;
    internal const int Bus = 7;
    internal const int FloatingPoint = 8;
    internal const int Kill = 9;
    internal const int Child = 17;
    internal const int Continue = 18;
    internal const int Stop = 19;
    internal const int Urgent = 23;
    internal const int WindowChanged = 28;

    /// <summary>Whether the signal stops a process (SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU).</summary>
    internal static bool StopsGroup(int signal) => signal is >= Stop and <= 22;

    /// <summary>Whether a process without a handler ignores the signal.</summary>
    internal static bool IsIgnoredByDefault(int signal) => signal is Child or Continue or Urgent or WindowChanged;
}

using Vfio.Linux;

namespace Vfio.Run;

/// <summary>The terminal of this process.</summary>
internal static class Terminal
{
    /// <summary>Whether a terminal sends its signals to this process's group, and so to the program too.</summary>
    public static bool IsForeground => Interop.GetForegroundGroup(0) is int group and > 0 && group == Interop.GetProcessGroup();
}

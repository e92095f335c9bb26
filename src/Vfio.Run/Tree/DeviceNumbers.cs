using System.Collections.Concurrent;

namespace Vfio.Run;

/// <summary>Numbers of character devices, for programs that compare them.</summary>
internal static class DeviceNumbers
{
    /// <summary>One of those for experiments.</summary>
    public const int Major = 240;

    private static readonly ConcurrentDictionary<string, int> s_minors = new(StringComparer.Ordinal);

    public static int MinorOf(string path) => s_minors.GetOrAdd(path, static _ => s_minors.Count);
}

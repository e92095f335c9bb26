using System.Globalization;

namespace Vfio.TestUtilities;

/// <summary>
/// The descriptors and shared mappings that this process has at one moment, without those that belong to the runtime.
/// </summary>
public sealed class ProcessResources
{
    private ProcessResources(Dictionary<int, string> descriptors, Dictionary<string, int> mappings)
    {
        Descriptors = descriptors;
        Mappings = mappings;
    }

    /// <summary>Descriptor number and what it is, as procfs names it.</summary>
    public IReadOnlyDictionary<int, string> Descriptors { get; }

    /// <summary>How many shared mappings there are of each memfd or anonymous shared object (by inode).</summary>
    public IReadOnlyDictionary<string, int> Mappings { get; }

    /// <summary>Looks at <c>/proc/self/fd</c> and <c>/proc/self/maps</c>.</summary>
    public static ProcessResources Capture()
    {
        Dictionary<int, string> descriptors = [];
        foreach (string path in Directory.GetFiles("/proc/self/fd"))
        {
            string? target = ReadLink(path);
            if (target is not null && IsOurs(target))
            {
                descriptors.Add(int.Parse(Path.GetFileName(path), CultureInfo.InvariantCulture), target);
            }
        }

        Dictionary<string, int> mappings = new(StringComparer.Ordinal);
        foreach (string line in File.ReadLines("/proc/self/maps"))
        {
            // address perms offset device inode path
            string[] parts = line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries);
            if (parts.Length == 6 && parts[1][3] == 's' && IsOurs(parts[5]))
            {
                string key = $"{parts[4]} {parts[5]}";
                mappings[key] = mappings.GetValueOrDefault(key) + 1;
            }
        }

        return new ProcessResources(descriptors, mappings);
    }

    /// <summary>What is here and was not there before, one line each.</summary>
    /// <param name="before">The earlier state.</param>
    public IReadOnlyList<string> LeakedSince(ProcessResources before)
    {
        ArgumentNullException.ThrowIfNull(before);
        List<string> result = [];
        foreach ((int number, string target) in Descriptors)
        {
            if (!before.Descriptors.TryGetValue(number, out string? earlier) || earlier != target)
            {
                result.Add($"descriptor {number}: {target}");
            }
        }

        foreach ((string name, int count) in Mappings)
        {
            int earlier = before.Mappings.GetValueOrDefault(name);
            if (count > earlier)
            {
                result.Add($"{count - earlier} mapping(s) of {name}");
            }
        }

        return result;
    }

    /// <summary>
    /// The runtime opens files (assemblies, wherever the tests were built; cgroup and procfs files), and maps its code heap through a memfd named doublemapper, whenever it likes.
    /// What this project makes is sockets, pipes, anonymous inodes, memfds, devices and terminals.
    /// </summary>
    private static bool IsOurs(string target) =>
        !target.Contains("doublemapper", StringComparison.Ordinal)
        && target is not ("/dev/null" or "/dev/random" or "/dev/urandom")
        && !target.StartsWith(AppContext.BaseDirectory, StringComparison.Ordinal)
        && !target.EndsWith(".dll", StringComparison.Ordinal)
        && !target.EndsWith(".dll (deleted)", StringComparison.Ordinal)
        && !target.EndsWith(".so", StringComparison.Ordinal)
        && (target.StartsWith("socket:", StringComparison.Ordinal)
            || target.StartsWith("pipe:", StringComparison.Ordinal)
            || target.StartsWith("anon_inode:", StringComparison.Ordinal)
            || target.StartsWith("/memfd:", StringComparison.Ordinal)
            || target.StartsWith("/dev/", StringComparison.Ordinal)
            || target.StartsWith("/tmp/", StringComparison.Ordinal));

    private static string? ReadLink(string path)
    {
        try
        {
            return new FileInfo(path).LinkTarget;
        }
        catch (IOException)
        {
            // Closed meanwhile: the descriptor of the enumeration itself, for one.
            return null;
        }
    }
}

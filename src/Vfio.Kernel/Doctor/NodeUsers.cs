using System.Globalization;

namespace Vfio.Kernel;

/// <summary>Finds the processes that have a node open, as <c>fuser</c> does: those that this user may look into.</summary>
internal static class NodeUsers
{
    /// <summary>The processes, as <c>qemu-system-x86 (4711)</c>.</summary>
    /// <param name="files">Where <c>/proc</c> is.</param>
    /// <param name="node">The node's path.</param>
    public static IReadOnlyList<string> Find(KernelFiles files, string node)
    {
        List<string> users = [];
        foreach (string process in Entries(files.Proc(string.Empty)))
        {
            string id = Path.GetFileName(process);
            if (int.TryParse(id, NumberStyles.None, CultureInfo.InvariantCulture, out _)
                && Entries(Path.Combine(process, "fd")).Any(descriptor => TargetOf(descriptor) == node))
            {
                users.Add($"{PciSysfs.ReadText(process, "comm") ?? "process"} ({id})");
            }
        }

        return users;
    }

    // Processes end while one looks.
    private static string[] Entries(string folder)
    {
        try
        {
            return Directory.GetFileSystemEntries(folder);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    private static string? TargetOf(string link)
    {
        try
        {
            return new FileInfo(link).LinkTarget;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}

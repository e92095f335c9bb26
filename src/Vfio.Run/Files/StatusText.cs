using System.Globalization;
using System.Text;
using Vfio.Iommu;

namespace Vfio.Run;

/// <summary><c>/proc/PID/status</c> of a process with memory in devices: the kernel's text, and what is pinned and locked here added to its counters.</summary>
internal static class StatusText
{
    private const string Folder = "/proc/";
    private const string File = "/status";

    /// <summary>The process whose status a path is; 0 for another path.</summary>
    public static int ProcessOf(string path, int own)
    {
        if (!path.StartsWith(Folder, StringComparison.Ordinal) || !path.EndsWith(File, StringComparison.Ordinal) || path.Length <= Folder.Length + File.Length)
        {
            return 0;
        }

        ReadOnlySpan<char> name = path.AsSpan(Folder.Length, path.Length - Folder.Length - File.Length);
        return name is "self" ? own : int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int id) ? id : 0;
    }

    /// <summary>The text as it is now; null when there is nothing to add, or the process is gone.</summary>
    public static byte[]? Compose(int processId, ProcessMemoryAccount account)
    {
        if (account.PinnedPages == 0 && account.Locked.Pages == 0)
        {
            return null;
        }

        try
        {
            StringBuilder text = new();
            foreach (string line in System.IO.File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"{Folder}{processId}{File}")))
            {
                text.Append(Raise(line, "VmLck:", account.Locked.Pages) ?? Raise(line, "VmPin:", account.PinnedPages) ?? line).Append('\n');
            }

            return Encoding.UTF8.GetBytes(text.ToString());
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    // VmPin:	       0 kB
    private static string? Raise(string line, string name, long pages)
    {
        const int PageKilobytes = 4;
        return line.StartsWith(name, StringComparison.Ordinal) && line.EndsWith(" kB", StringComparison.Ordinal)
            && long.TryParse(line.AsSpan(name.Length, line.Length - name.Length - 3).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out long value)
            ? string.Create(CultureInfo.InvariantCulture, $"{name}\t{value + (pages * PageKilobytes),8} kB")
            : null;
    }
}

using System.Globalization;
using System.Text.Unicode;
using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>What <c>/proc</c> tells about a process's descriptors, without allocation.</summary>
internal static unsafe class ProcessFiles
{
    private const int PathSize = 64;

    /// <summary>Which file a descriptor of a process is.</summary>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.ENOENT"/> when the number or the process is not there.</returns>
    public static Errno TryIdentify(int processId, int number, out FileIdentity identity)
    {
        byte* path = stackalloc byte[PathSize];
        _ = Utf8.TryWrite(new Span<byte>(path, PathSize - 1), $"/proc/{processId}/fd/{number}", out int length);
        path[length] = 0;
        Interop.StatxBuffer buffer = default;

        // SAFETY: the path ends with a zero, and the buffer has the full size of struct statx.
        if (Interop.Statx(Interop.CurrentDirectory, path, 0, Interop.StatxBasicStats, &buffer) < 0)
        {
            identity = default;
            return Interop.LastError;
        }

        identity = new FileIdentity(((ulong)buffer.DeviceMajor << 32) | buffer.DeviceMinor, buffer.Inode);
        return Errno.None;
    }

    /// <summary>The numbers of a process's descriptors; none when it is gone or another user's.</summary>
    public static IReadOnlyList<int> Numbers(int processId)
    {
        try
        {
            return [.. Directory.EnumerateFileSystemEntries($"/proc/{processId}/fd").Select(static path => int.Parse(Path.GetFileName(path), CultureInfo.InvariantCulture))];
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>The process that a thread belongs to; 0 when the thread is gone.</summary>
    public static int GetProcessOf(int threadId)
    {
        const string Field = "Tgid:";
        try
        {
            foreach (string line in File.ReadLines($"/proc/{threadId}/status"))
            {
                if (line.StartsWith(Field, StringComparison.Ordinal))
                {
                    return int.Parse(line.AsSpan(Field.Length).Trim(), CultureInfo.InvariantCulture);
                }
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
        }

        return 0;
    }
}

/// <summary>A file, by which all its descriptors and mappings are known.</summary>
/// <param name="Device">The file system's device, major number in the upper half.</param>
/// <param name="Inode">Its number there.</param>
internal readonly record struct FileIdentity(ulong Device, ulong Inode);

using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>Tells when the last descriptor of a file that was open for writing is closed, in whichever process. Any thread.</summary>
internal sealed class CloseWatch : IDisposable
{
    private readonly FileDescriptor _watch;

    private CloseWatch(FileDescriptor watch)
    {
        _watch = watch;
    }

    /// <summary>Readable when there is something to take.</summary>
    public FileDescriptor Descriptor => _watch;

    public static Errno TryCreate(out CloseWatch? watch)
    {
        FileDescriptor descriptor = new(-1, ownsHandle: true);
        int fd = Interop.WatchInitialize(Interop.WatchCloseOnExec | Interop.WatchNonBlocking);
        if (fd < 0)
        {
            Errno error = Interop.LastError;
            descriptor.Dispose();
            watch = null;
            return error;
        }

        watch = new CloseWatch(FileDescriptor.Own(descriptor, fd));
        return Errno.None;
    }

    /// <summary>Watches an open file. Closing a descriptor of the same open is no event; closing the last one of another open for writing is.</summary>
    /// <returns>The number that events carry, or an errno.</returns>
    public IoResult TryAdd(FileDescriptor file) => Interop.ToResult(Interop.WatchAdd(_watch, $"/proc/self/fd/{file.Number}", Interop.WatchCloseWrite));

    /// <summary>Takes what has happened, without waiting.</summary>
    /// <param name="closed">Receives the numbers of the files, as <see cref="TryAdd"/> gave them.</param>
    /// <returns>How many there were.</returns>
    public int Take(Span<int> closed)
    {
        const int EventSize = 16;
        Span<byte> buffer = stackalloc byte[64 * EventSize];
        IoResult read = _watch.Read(buffer[..(Math.Min(closed.Length, 64) * EventSize)]);
        if (read.IsError)
        {
            return 0;
        }

        // No names follow: the watches are on files and not on folders.
        int count = 0;
        for (int at = 0; at + EventSize <= read.Count; at += EventSize)
        {
            uint mask = MemoryMarshal.Read<uint>(buffer[(at + 4)..]);
            if ((mask & Interop.WatchCloseWrite) != 0)
            {
                closed[count++] = MemoryMarshal.Read<int>(buffer[at..]);
            }
        }

        return count;
    }

    public void Dispose() => _watch.Dispose();
}

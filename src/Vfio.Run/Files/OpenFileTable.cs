using System.Collections.Concurrent;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>All files of ours that programs have open, by what stands for them.</summary>
/// <remarks>Lock order: the table's lock is taken before any lock of the core, as closing a file takes those.</remarks>
internal sealed class OpenFileTable : IDisposable
{
    private readonly ConcurrentDictionary<FileIdentity, OpenFile> _byIdentity = new();
    private readonly ConcurrentDictionary<int, OpenFile> _byWatch = new();
    private readonly Lock _closing = new();
    private readonly CloseWatch _watch;
    private readonly IDisposable _registration;
    private readonly DirectoryInfo _folder;
    private long _fifos;

    public OpenFileTable(EventLoop loop, DirectoryInfo folder)
    {
        _folder = folder;
        CloseWatch.TryCreate(out CloseWatch? watch).ThrowIfError("watch for closed files");
        _watch = watch!;
        _registration = loop.Register(_watch.Descriptor, EventLoopEvents.Read, _ => TakeClosed());
    }

    public OpenFile? Find(FileIdentity identity) => _byIdentity.GetValueOrDefault(identity);

    /// <summary>Makes what stands for a file.</summary>
    /// <param name="file">The file; the table owns it when this succeeds.</param>
    /// <param name="path">Its name.</param>
    /// <param name="open">What is in the table.</param>
    /// <param name="standIn">What programs get duplicates of. Once the caller has disposed it, closing the last of those closes the file.</param>
    public Errno TryAdd(VfioFile file, string path, out OpenFile? open, out FileDescriptor? standIn)
    {
        open = null;
        Errno error = TryMakeStandIn(file, path, out standIn, out ReadinessFifo? readiness);
        if (error != Errno.None)
        {
            return error;
        }

        IoResult watch = _watch.TryAdd(standIn!);
        FileStatus status = default;
        error = watch.IsError ? watch.Error : standIn!.TryGetStatus(out status);
        if (error != Errno.None)
        {
            readiness?.Dispose();
            standIn!.Dispose();
            standIn = null;
            return error;
        }

        open = new OpenFile(file, path, new FileIdentity(status.Device, status.Inode), (int)watch.Value) { Readiness = readiness };
        _byIdentity[open.Identity] = open;
        _byWatch[open.Watch] = open;
        return Errno.None;
    }

    /// <summary>Forgets a file that was not given away after all. It belongs to the caller again.</summary>
    public void Remove(OpenFile open)
    {
        _byIdentity.TryRemove(open.Identity, out _);
        _byWatch.TryRemove(open.Watch, out _);
        open.Release();
    }

    /// <summary>Closes what has lost its last descriptor; when it returns, everything is closed whose last descriptor was closed before it was called.</summary>
    public void TakeClosed()
    {
        Span<int> closed = stackalloc int[64];
        lock (_closing)
        {
            int count;
            while ((count = _watch.Take(closed)) > 0)
            {
                foreach (int watch in closed[..count])
                {
                    if (_byWatch.TryRemove(watch, out OpenFile? open))
                    {
                        _byIdentity.TryRemove(open.Identity, out _);
                        open.Dispose();
                    }
                }
            }
        }
    }

    /// <summary>Closes whatever is left.</summary>
    public void Dispose()
    {
        _registration.Dispose();
        foreach (OpenFile open in _byIdentity.Values)
        {
            Remove(open);
            open.File.Dispose();
        }

        _watch.Dispose();
    }

    private Errno TryMakeStandIn(VfioFile file, string path, out FileDescriptor? standIn, out ReadinessFifo? readiness)
    {
        standIn = null;
        readiness = null;

        // Only what is ready always can be memory, which is so as well.
        if ((file.Readiness & EventLoopEvents.Read) == 0)
        {
            string name = System.IO.Path.Combine(_folder.FullName, $"events-{Interlocked.Increment(ref _fifos)}");
            Errno made = ReadinessFifo.TryCreate(name, file, out FileDescriptor? fifo, out ReadinessFifo? mirror);
            standIn = fifo;
            readiness = mirror;
            return made;
        }

        Errno error = MemFd.TryCreate($"vfio:{path}", 0, hugePages: false, out MemFd? memory);
        if (error != Errno.None)
        {
            return error;
        }

        // Opened anew: the close of the memory's own descriptor is another open's.
        using (memory)
        {
            return FileDescriptor.TryOpen($"/proc/self/fd/{memory!.Descriptor.Number}", OpenMode.ReadWrite, out standIn);
        }
    }
}

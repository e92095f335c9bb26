using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

/// <summary>
/// The memory that one peer hands over by descriptor. However many parts of a file it names, they share mappings of a gibibyte or more, and
/// descriptors where the file cannot be mapped.
/// </summary>
/// <remarks>
/// <para>
/// For the rest as <see cref="DescriptorMemory"/>, whose budget counts what is mapped. Files are recognised by file system and inode. Nothing
/// depends on their being told apart but which of its own files the peer sees: a source lies inside a mapping whose file was sealed, and cannot
/// have become shorter.
/// </para>
/// <para>
/// The mapping that was used last stays for a while when nobody uses it any more, so that a peer that maps and unmaps one page again and again, as a guest
/// behind a virtual IOMMU does, costs no mapping each time: until another has been used last, or <see cref="Trim"/>.
/// </para>
/// <para>All members may be called from any thread. The lock is a leaf; files are mapped and unmapped outside of it.</para>
/// </remarks>
public sealed class DescriptorMemoryPool : IDisposable
{
    private const ulong Unit = 1UL << 30;
    private readonly DescriptorMemoryPolicy _policy;
    private readonly int _maximumMappings;
    private readonly Lock _lock = new();
    private readonly Dictionary<FileWindowKey, FileWindow> _windows = [];
    private readonly Dictionary<(ulong Device, ulong Inode, OpenMode Mode), SharedDescriptor> _files = [];
    private FileWindow? _spare;
    private int _mappings;
    private bool _disposed;

    /// <summary>Makes an empty pool.</summary>
    /// <param name="policy">How the peer's memory is reached.</param>
    /// <param name="maximumMappings">Mappings at a time; what would need a further one is reached by positioned reads and writes, but for files of huge pages, which have no writes (<see cref="Errno.ENOSPC"/>).</param>
    public DescriptorMemoryPool(DescriptorMemoryPolicy policy, int maximumMappings)
    {
        _policy = policy;
        _maximumMappings = maximumMappings;
    }

    /// <summary>Takes over a descriptor that is not needed, since its file is mapped, to close it when there is time. By default it is closed at once.</summary>
    public Action<FileDescriptor> Spent { get; init; } = static descriptor => descriptor.Dispose();

    /// <summary>Mappings that the live sources use.</summary>
    public int MappingCount => Volatile.Read(ref _mappings);

    /// <summary>Descriptors of ordinary files that the live sources use.</summary>
    public int DescriptorCount
    {
        get
        {
            lock (_lock)
            {
                return _files.Count;
            }
        }
    }

    /// <summary>Makes a source of a part of a file.</summary>
    /// <param name="descriptor">As for <see cref="DescriptorMemory.TryCreate"/>: owned by the pool and its sources on success, by the caller otherwise.</param>
    /// <param name="offset">Where the part starts, in bytes; need not be page aligned.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <param name="access">The access that the mapping will grant. Parts that may be written and parts that may not share nothing.</param>
    /// <param name="mayMap">False to reach it by positioned reads and writes whatever the policy says.</param>
    /// <param name="source">The source.</param>
    /// <returns>As for <see cref="DescriptorMemory.TryCreate"/>.</returns>
    public Errno TryCreate(FileDescriptor descriptor, ulong offset, ulong length, DmaAccess access, bool mayMap, out MemorySource? source)
    {
        source = null;
        Errno error = DescriptorMemory.Examine(descriptor, offset, length, access, _policy, out FileStatus status, out OpenMode mode);
        if (error != Errno.None)
        {
            return error;
        }

        bool writable = (access & DmaAccess.Write) != 0;
        if (mayMap && _policy != DescriptorMemoryPolicy.NeverMap)
        {
            error = GetWindow(descriptor, in status, offset, length, writable, isGuarded: false, out FileWindow? mapped);
            if (error == Errno.None)
            {
                source = mapped!.Show(offset, length);
                Spent(descriptor); // The mapping keeps the file.
                return Errno.None;
            }

            if (error != Errno.ENOSPC)
            {
                return error;
            }
        }

        if (status.Kind != FileKind.Regular)
        {
            source = new DescriptorMemorySource(descriptor, offset, length, writable);
            return Errno.None;
        }

        FileWindow? window = null;
        if (DescriptorMemory.NeedsWindow(descriptor, in status, writable))
        {
            error = GetWindow(descriptor, in status, offset, length, writable, isGuarded: true, out window);
            if (error != Errno.None)
            {
                return error;
            }
        }

        SharedDescriptor? shared = Share(descriptor, in status, mode);
        if (shared is null)
        {
            window?.Leave();
            return Errno.EINVAL;
        }

        DescriptorMemorySource file = new(shared.File, offset, length, writable) { Shared = shared };
        source = window is null ? file : new HugePageFileSource(file, window);
        return Errno.None;
    }

    /// <summary>Unmaps what is mapped and not used. The peer's memory is then its own again.</summary>
    public void Trim()
    {
        FileWindow? unused;
        lock (_lock)
        {
            unused = _spare;
            _spare = null;
            Forget(unused);
        }

        unused?.Unmap();
    }

    /// <summary>Keeps nothing any more that is not used. Sources stay valid.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
        }

        Trim();
    }

    /// <summary>A user of a window is gone.</summary>
    /// <returns>A window that is now to be unmapped, this or another, by the caller; or null.</returns>
    internal FileWindow? Leave(FileWindow window)
    {
        lock (_lock)
        {
            if (--window.Users > 0)
            {
                return null;
            }

            _mappings--;
            FileWindow? unused = window;
            if (!_disposed && IsKnown(window))
            {
                unused = _spare;
                _spare = window;
            }

            Forget(unused);
            return unused;
        }
    }

    /// <summary>A user of a descriptor is gone.</summary>
    /// <returns>True when it was the last: the caller closes.</returns>
    internal bool Leave(SharedDescriptor shared)
    {
        lock (_lock)
        {
            if (--shared.Users > 0)
            {
                return false;
            }

            _files.Remove(shared.Key);
            return true;
        }
    }

    /// <summary>Finds or maps the window that a part of a file lies in, and counts the caller as its user.</summary>
    /// <param name="isGuarded">Whether nobody touches the window but the kernel, so that any file may be mapped. Such a window is never shown to others.</param>
    /// <returns><see cref="Errno.ENOSPC"/> when the part is to be reached by its descriptor, otherwise as <see cref="DescriptorMemory.TryMap"/>.</returns>
    private Errno GetWindow(FileDescriptor descriptor, in FileStatus status, ulong offset, ulong length, bool writable, bool isGuarded, out FileWindow? window)
    {
        bool isFile = status.Kind == FileKind.Regular;
        FileWindowKey key = new(status.Device, status.Inode, writable, isGuarded, offset / Unit, (offset + length - 1) / Unit);
        lock (_lock)
        {
            // One that was mapped before the file grew may be too short; then the next takes its place.
            FileWindow? known = isFile && _windows.TryGetValue(key, out window) && window.Contains(offset, length) ? window : null;
            window = null;
            if (known is not { Users: > 0 })
            {
                if (_mappings >= _maximumMappings)
                {
                    return Errno.ENOSPC;
                }

                _mappings++;
            }

            if (known is not null)
            {
                _spare = known.Users++ == 0 ? null : _spare;
                window = known;
                return Errno.None;
            }
        }

        Errno error = Errno.ENOSPC;
        if (isGuarded || DescriptorMemory.MayMap(descriptor, in status, _policy))
        {
            (ulong start, ulong end) = DescriptorMemory.Around(in status, offset, length, isFile ? Unit : DescriptorMemory.UnitOf(in status));
            error = DescriptorMemory.TryMap(descriptor, start, end, writable, _policy, out MemoryMapping? mapping);
            if (error == Errno.ENOMEM && isFile)
            {
                // Huge pages are set aside when they are mapped, and there may be enough for what was asked.
                (start, end) = DescriptorMemory.Around(in status, offset, length, DescriptorMemory.UnitOf(in status));
                error = DescriptorMemory.TryMap(descriptor, start, end, writable, _policy, out mapping);
            }

            if (error == Errno.None)
            {
                window = new FileWindow(mapping!, start, writable, _policy != DescriptorMemoryPolicy.Trusted) { Pool = this, Key = key };
            }
        }

        lock (_lock)
        {
            if (window is null)
            {
                _mappings--;
            }
            else if (isFile)
            {
                _windows[key] = window;
            }
        }

        return error;
    }

    /// <summary>Whether a window would be found by its key. Caller holds the lock.</summary>
    private bool IsKnown(FileWindow window) => _windows.TryGetValue(window.Key, out FileWindow? known) && ReferenceEquals(known, window);

    /// <summary>Finds a window no more. Caller holds the lock.</summary>
    private void Forget(FileWindow? window)
    {
        if (window is not null && IsKnown(window))
        {
            _windows.Remove(window.Key);
        }
    }

    /// <summary>Finds a descriptor that is as good as this one, or keeps this one, and counts the caller as its user.</summary>
    /// <returns>The one to use, which may not be the one given; null for a file that a process serves.</returns>
    private SharedDescriptor? Share(FileDescriptor descriptor, in FileStatus status, OpenMode mode)
    {
        SharedDescriptor? shared;
        lock (_lock)
        {
            if (_files.TryGetValue((status.Device, status.Inode, mode), out shared))
            {
                shared.Users++;
            }
        }

        if (shared is not null)
        {
            descriptor.Dispose();
            return shared;
        }

        if (descriptor.IsServedByProcess())
        {
            return null;
        }

        lock (_lock)
        {
            if (!_files.TryGetValue((status.Device, status.Inode, mode), out shared))
            {
                shared = new SharedDescriptor(this, descriptor, status.Device, status.Inode, mode);
                _files.Add(shared.Key, shared);
                return shared;
            }

            shared.Users++;
        }

        descriptor.Dispose();
        return shared;
    }
}

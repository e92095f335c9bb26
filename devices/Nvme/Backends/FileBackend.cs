using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Devices.Nvme;

/// <summary>Blocks in a raw image file or on a block device. It is locked against others that lock while the backend is open (open file description lock).</summary>
/// <remarks>
/// A flush is <c>fdatasync(2)</c>. After one that failed all fail, since the kernel forgets the data that it could not write: the file must be opened anew.
/// </remarks>
public sealed class FileBackend : INvmeBackend
{
    /// <summary>The shortest image: a block of the larger kind.</summary>
    public const ulong MinimumLength = 4096;

    private const int ZerosLength = AlignedBuffers.Length;
    private readonly FileDescriptor _file;
    private readonly FlushGate _gate;
    private readonly AlignedBuffers? _buffers;
    private readonly uint _memoryAlignment = 1;
    private readonly bool _isBlockDevice;
    private readonly Lazy<Memory<byte>> _zeros = new(static () => AlignedBuffers.Make(ZerosLength));
    private volatile bool _hasHoles = true;

    /// <summary>Opens a file, or makes a sparse one.</summary>
    /// <param name="path">The file.</param>
    /// <param name="size">Its length in bytes when it is made or empty; 0 to take what there is.</param>
    /// <param name="isReadOnly">Whether it must exist and is not written.</param>
    /// <exception cref="IOException">The file cannot be opened, somebody else has it open, or it is no image of at least <see cref="MinimumLength"/> bytes.</exception>
    public FileBackend(string path, ulong size = 0, bool isReadOnly = false)
        : this(path, new FileBackendOptions { CreateSize = size, IsReadOnly = isReadOnly })
    {
    }

    /// <summary>Opens a file or a block device, or makes a sparse file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="options">How it is opened.</param>
    /// <exception cref="IOException">The file cannot be opened, somebody else has it open, or it is no image of at least <see cref="MinimumLength"/> bytes.</exception>
    /// <remarks>With O_DIRECT ranges must be aligned to <see cref="Alignment"/>; <see cref="Open"/> gives a backend that takes all.</remarks>
    public FileBackend(string path, FileBackendOptions options)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(options);
        IsReadOnly = options.IsReadOnly;
        Path = path;
        _gate = new FlushGate(() => _file!.TrySynchronize());
        _file = OpenFile(path, options, out _isBlockDevice);
        try
        {
            Length = Prepare(path, options);
            if (options.IsDirect)
            {
                if (_file.TryGetDirectAlignment(out _memoryAlignment, out uint alignment) != Errno.None || alignment > AlignedBuffers.Length || _memoryAlignment > AlignedBuffers.Alignment)
                {
                    _memoryAlignment = AlignedBuffers.Alignment;
                    alignment = AlignedBuffers.Alignment;
                }

                Alignment = alignment;
                _buffers = new AlignedBuffers();
                Probe(path);
            }
            else if (_isBlockDevice)
            {
                // Those that take less say so only with O_DIRECT; what lies at the edges of a cleared range is written.
                ClearAlignment = AlignedBuffers.Alignment;
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Alignment in bytes of offsets and lengths: 1 but with O_DIRECT.</summary>
    public uint Alignment { get; } = 1;

    /// <inheritdoc/>
    public ulong Length { get; }

    /// <inheritdoc/>
    public bool MayWait => true;

    /// <inheritdoc/>
    public bool HasVolatileCache => !IsReadOnly;

    /// <inheritdoc/>
    public bool IsReadOnly { get; }

    private uint ClearAlignment { get; } = 1;

    /// <summary>Opens a file for ranges of any alignment.</summary>
    /// <param name="path">The file.</param>
    /// <param name="options">How it is opened.</param>
    /// <exception cref="IOException">As the constructor.</exception>
    public static INvmeBackend Open(string path, FileBackendOptions options)
    {
        var file = new FileBackend(path, options);
        return file.Alignment == 1 ? file : new AlignedBackend(file, file.Alignment);
    }

    /// <inheritdoc/>
    public Errno Read(ulong offset, Span<byte> destination)
    {
        if (_buffers is null)
        {
            return ReadAll(offset, destination);
        }

        // Memory that is not pinned may move between the look and the call, which then says so.
        Errno error = AlignedMemory.IsAligned(destination, _memoryAlignment) ? ReadAll(offset, destination) : Errno.EINVAL;
        if (error != Errno.EINVAL)
        {
            return error;
        }

        Memory<byte> buffer = _buffers.Rent();
        error = Errno.None;
        while (!destination.IsEmpty && error == Errno.None)
        {
            Span<byte> piece = buffer.Span[..Math.Min(destination.Length, AlignedBuffers.Length)];
            error = ReadAll(offset, piece);
            piece.CopyTo(destination);
            destination = destination[piece.Length..];
            offset += (ulong)piece.Length;
        }

        _buffers.Return(buffer);
        return error;
    }

    /// <inheritdoc/>
    public Errno Write(ulong offset, ReadOnlySpan<byte> source)
    {
        if (_buffers is null)
        {
            return WriteAll(offset, source);
        }

        Errno error = AlignedMemory.IsAligned(source, _memoryAlignment) ? WriteAll(offset, source) : Errno.EINVAL;
        if (error != Errno.EINVAL)
        {
            return error;
        }

        Memory<byte> buffer = _buffers.Rent();
        error = Errno.None;
        while (!source.IsEmpty && error == Errno.None)
        {
            Span<byte> piece = buffer.Span[..Math.Min(source.Length, AlignedBuffers.Length)];
            source[..piece.Length].CopyTo(piece);
            error = WriteAll(offset, piece);
            source = source[piece.Length..];
            offset += (ulong)piece.Length;
        }

        _buffers.Return(buffer);
        return error;
    }

    /// <inheritdoc/>
    public Errno Flush() => IsReadOnly ? Errno.None : _gate.Flush();

    /// <inheritdoc/>
    public Errno Clear(ulong offset, ulong length)
    {
        // What is left at the edges is less than a block of the device.
        ulong mask = ClearAlignment - 1;
        ulong first = Math.Min((offset + mask) & ~mask, offset + length);
        ulong last = Math.Max((offset + length) & ~mask, first);
        Errno error = first == last ? Errno.None : ClearAligned(first, last - first);
        error = error == Errno.None ? WriteZeros(offset, first - offset) : error;
        return error == Errno.None ? WriteZeros(last, offset + length - last) : error;
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private static FileDescriptor OpenFile(string path, FileBackendOptions options, out bool isBlockDevice)
    {
        // Looked at before it is opened: opening a pipe waits, and some devices do things when they are opened.
        isBlockDevice = false;
        bool exists = FileDescriptor.TryOpen(path, OpenMode.PathOnly, out FileDescriptor? named) == Errno.None;
        if (exists)
        {
            using (named)
            {
                named!.TryGetStatus(out FileStatus status).ThrowIfError($"look at '{path}'");
                isBlockDevice = status.Kind == FileKind.BlockDevice;
                if (!isBlockDevice && status.Kind != FileKind.Regular)
                {
                    throw new IOException($"'{path}' is a {status.Kind}; a namespace lies in a regular file or on a block device.");
                }
            }
        }
        else if (!options.IsReadOnly && options.CreateSize is > 0 and < MinimumLength)
        {
            throw new IOException($"'{path}' is to be made with {options.CreateSize} bytes; an image has at least {MinimumLength}.");
        }

        OpenMode mode = options.IsReadOnly ? OpenMode.ReadOnly : OpenMode.ReadWrite;
        mode |= options.IsDirect ? OpenMode.Direct : 0;
        mode |= !options.IsReadOnly && options.CreateSize != 0 && !isBlockDevice ? OpenMode.Create : 0;
        mode |= isBlockDevice && !options.IsReadOnly && options.IsLocked ? OpenMode.Exclusive : 0;
        Errno error = FileDescriptor.TryOpen(path, mode, out FileDescriptor? file);
        if (error == Errno.None)
        {
            return file!;
        }

        throw error switch
        {
            Errno.ENOENT => new FileNotFoundException($"There is no file '{path}'{(options.IsReadOnly ? "" : ": give it a size to be made with (create=SIZE behind file:PATH?, or size=SIZE)")}.", path),
            Errno.EBUSY => new IOException($"The device '{path}' is mounted, or another program holds it: unmount it or end that program, or read it with readonly=1."),
            Errno.EINVAL when options.IsDirect => new IOException($"'{path}' cannot be opened with direct=1: its file system has no O_DIRECT. Leave direct=1 out."),
            _ => new LinuxException(error, $"open '{path}' for {(options.IsReadOnly ? "reading" : "reading and writing")}"),
        };
    }

    private Errno ReadAll(ulong offset, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            IoResult result = _file.ReadAt(destination, offset);
            if (result.IsError || result.Count == 0)
            {
                // Somebody made the file shorter: what is missing is lost.
                return result.IsError ? result.Error : Errno.EIO;
            }

            offset += (ulong)result.Count;
            destination = destination[result.Count..];
        }

        return Errno.None;
    }

    private Errno WriteAll(ulong offset, ReadOnlySpan<byte> source)
    {
        while (!source.IsEmpty)
        {
            IoResult result = _file.WriteAt(source, offset);
            if (result.IsError || result.Count == 0)
            {
                return result.IsError ? result.Error : Errno.EIO;
            }

            offset += (ulong)result.Count;
            source = source[result.Count..];
        }

        return Errno.None;
    }

    private Errno ClearAligned(ulong offset, ulong length)
    {
        // On a block device this unmaps where the device promises zeros then. BLKDISCARD promises nothing about what is read afterwards.
        Errno error = _hasHoles ? _file.TryPunchHole(offset, length) : Errno.EOPNOTSUPP;
        if (error is not (Errno.EOPNOTSUPP or Errno.ENOSYS))
        {
            return error;
        }

        // A file system without holes.
        _hasHoles = false;
        error = _isBlockDevice ? _file.TryZeroBlockDevice(offset, length) : Errno.EOPNOTSUPP;
        return error is Errno.EOPNOTSUPP or Errno.ENOTTY or Errno.EINVAL ? WriteZeros(offset, length) : error;
    }

    private Errno WriteZeros(ulong offset, ulong length)
    {
        if (length == 0)
        {
            return Errno.None;
        }

        Span<byte> zeros = _zeros.Value.Span;
        Errno error = Errno.None;
        while (length != 0 && error == Errno.None)
        {
            int piece = (int)Math.Min(length, ZerosLength);
            error = WriteAll(offset, zeros[..piece]);
            offset += (ulong)piece;
            length -= (ulong)piece;
        }

        return error;
    }

    private ulong Prepare(string path, FileBackendOptions options)
    {
        if (options.IsLocked)
        {
            Errno error = _file.TryLock(exclusive: !IsReadOnly);
            if (error is Errno.EAGAIN or Errno.EACCES)
            {
                throw new IOException($"'{path}' is open in another server, in QEMU or in another program that locks it{(IsReadOnly ? " for writing" : "")}: end that one, or give lock=0 when you know that neither harms the other.");
            }

            if (error != Errno.None)
            {
                throw new IOException($"'{path}' cannot be locked: {error.GetName()} ({error.GetText()}). Give lock=0 when nobody else opens it.");
            }
        }

        _file.TryGetStatus(out FileStatus status).ThrowIfError($"look at '{path}'");
        ulong length = status.Size;
        if (_isBlockDevice)
        {
            _file.TryGetBlockDeviceLength(out length).ThrowIfError($"ask for the length of the device '{path}'");
        }

        if (length != 0 || IsReadOnly || _isBlockDevice)
        {
            return length >= MinimumLength
                ? length
                : throw new IOException($"'{path}' has {length} bytes; an image has at least {MinimumLength}.");
        }

        if (options.CreateSize < MinimumLength)
        {
            throw new IOException($"'{path}' is to be made with {options.CreateSize} bytes; an image has at least {MinimumLength}.");
        }

        _file.TrySetLength(options.CreateSize).ThrowIfError($"give '{path}' a length of {options.CreateSize} bytes");
        return options.CreateSize;
    }

    /// <summary>Some file systems take O_DIRECT when they open and refuse every transfer.</summary>
    private void Probe(string path)
    {
        Memory<byte> buffer = _buffers!.Rent();
        IoResult result = _file.ReadAt(buffer.Span[..(int)Alignment], 0);
        _buffers.Return(buffer);
        if (result.IsError)
        {
            throw new IOException($"'{path}' cannot be read with direct=1 ({result.Error.GetName()}, {Alignment} bytes at a time). Leave direct=1 out.");
        }
    }
}

using Microsoft.Win32.SafeHandles;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Devices.Nvme;

/// <summary>Blocks in a raw image file. The file is locked against others that lock (<c>flock(2)</c>) while the backend is open.</summary>
public sealed class FileBackend : INvmeBackend
{
    /// <summary>The shortest image: a block of the larger kind.</summary>
    public const ulong MinimumLength = 4096;

    private const int ZerosLength = 64 * 1024;
    private static readonly byte[] s_zeros = new byte[ZerosLength];
    private readonly SafeFileHandle _file;
    private readonly FileDescriptor _descriptor;

    /// <summary>Opens a file, or makes a sparse one.</summary>
    /// <param name="path">The file.</param>
    /// <param name="size">Its length in bytes when it is made or empty; 0 to take what there is.</param>
    /// <param name="isReadOnly">Whether it must exist and is not written.</param>
    /// <exception cref="IOException">The file cannot be opened, somebody else has it open, or it is no regular file of at least <see cref="MinimumLength"/> bytes.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be opened.</exception>
    /// <exception cref="LinuxException">The file cannot be given its length.</exception>
    public FileBackend(string path, ulong size = 0, bool isReadOnly = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        IsReadOnly = isReadOnly;
        Path = path;
        _file = isReadOnly
            ? File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read)
            : File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        _descriptor = new FileDescriptor((int)_file.DangerousGetHandle(), ownsHandle: false);
        try
        {
            Length = Prepare(path, size);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <inheritdoc/>
    public ulong Length { get; }

    /// <inheritdoc/>
    public bool MayWait => true;

    /// <inheritdoc/>
    public bool HasVolatileCache => !IsReadOnly;

    /// <inheritdoc/>
    public bool IsReadOnly { get; }

    /// <inheritdoc/>
    public Errno Read(ulong offset, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            IoResult result = _descriptor.ReadAt(destination, offset);
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

    /// <inheritdoc/>
    public Errno Write(ulong offset, ReadOnlySpan<byte> source)
    {
        while (!source.IsEmpty)
        {
            IoResult result = _descriptor.WriteAt(source, offset);
            if (result.IsError || result.Count == 0)
            {
                return result.IsError ? result.Error : Errno.EIO;
            }

            offset += (ulong)result.Count;
            source = source[result.Count..];
        }

        return Errno.None;
    }

    /// <inheritdoc/>
    public Errno Flush() => IsReadOnly ? Errno.None : _descriptor.TrySynchronize();

    /// <inheritdoc/>
    public Errno Clear(ulong offset, ulong length)
    {
        Errno error = _descriptor.TryPunchHole(offset, length);
        if (error != Errno.EOPNOTSUPP)
        {
            return error;
        }

        // A file system without holes.
        error = Errno.None;
        while (length != 0 && error == Errno.None)
        {
            int piece = (int)Math.Min(length, ZerosLength);
            error = Write(offset, s_zeros.AsSpan(0, piece));
            offset += (ulong)piece;
            length -= (ulong)piece;
        }

        return error;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _descriptor.Dispose();
        _file.Dispose();
    }

    private ulong Prepare(string path, ulong size)
    {
        _descriptor.TryGetStatus(out FileStatus status).ThrowIfError($"look at '{path}'");
        if (status.Kind != FileKind.Regular)
        {
            throw new IOException($"'{path}' is a {status.Kind}; a namespace lies in a regular file.");
        }

        if (status.Size != 0 || IsReadOnly)
        {
            return status.Size >= MinimumLength
                ? status.Size
                : throw new IOException($"'{path}' has {status.Size} bytes; an image has at least {MinimumLength}.");
        }

        if (size < MinimumLength)
        {
            throw new IOException($"'{path}' is to be made with {size} bytes; an image has at least {MinimumLength}.");
        }

        _descriptor.TrySetLength(size).ThrowIfError($"give '{path}' a length of {size} bytes");
        return size;
    }
}

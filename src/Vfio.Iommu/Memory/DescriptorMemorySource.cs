using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

/// <summary>
/// Memory behind a descriptor that its owner may shrink at any time: reached by positioned reads and writes, which then fail instead
/// of raising SIGBUS.
/// </summary>
public sealed class DescriptorMemorySource : MemorySource
{
    private readonly FileDescriptor _descriptor;
    private readonly ulong _start;

    /// <summary>Shows a part of a file.</summary>
    /// <param name="descriptor">The file; owned by the source.</param>
    /// <param name="start">Where the source starts in the file, in bytes.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="writable">Whether writes are allowed.</param>
    public DescriptorMemorySource(FileDescriptor descriptor, ulong start, ulong length, bool writable)
    {
        _descriptor = descriptor;
        _start = start;
        Length = length;
        IsWritable = writable;
    }

    /// <summary>The use of the descriptor when it is shared, which is given back in place of closing it.</summary>
    internal SharedDescriptor? Shared { get; init; }

    internal FileDescriptor Descriptor => _descriptor;

    /// <inheritdoc/>
    public override ulong Length { get; }

    /// <inheritdoc/>
    public override bool IsWritable { get; }

    /// <inheritdoc/>
    public override string Kind => "descriptor";

    /// <inheritdoc/>
    public override ulong PlacementHint(ulong offset) => _start + offset;

    /// <inheritdoc/>
    public override bool IsFile => true;

    /// <summary>A file of another kind than memory, or one that ends before the pages, is EINVAL.</summary>
    /// <inheritdoc/>
    protected internal override Errno PutInPlace(ulong page, ulong count)
    {
        Errno error = _descriptor.TryGetStatus(out FileStatus status);
        if (error != Errno.None)
        {
            return error;
        }

        ulong end = (_start & ~(PageSize - 1)) + ((page + count) * PageSize);
        return status.Kind switch
        {
            FileKind.Regular => end <= ((status.Size + PageSize - 1) & ~(PageSize - 1)) ? Errno.None : Errno.EINVAL,
            FileKind.BlockDevice or FileKind.CharacterDevice => Errno.None,
            _ => Errno.EINVAL,
        };
    }

    /// <inheritdoc/>
    public override Errno Read(ulong offset, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            IoResult result = _descriptor.ReadAt(destination, _start + offset);
            if (result.IsError)
            {
                return result.Error;
            }

            if (result.Value == 0)
            {
                return Errno.EFAULT; // The file ends before the range: it was shrunk.
            }

            destination = destination[result.Count..];
            offset += (ulong)result.Count;
        }

        return Errno.None;
    }

    /// <inheritdoc/>
    public override Errno Write(ulong offset, ReadOnlySpan<byte> source)
    {
        while (!source.IsEmpty)
        {
            IoResult result = _descriptor.WriteAt(source, _start + offset);
            if (result.IsError)
            {
                return result.Error;
            }

            if (result.Value == 0)
            {
                return Errno.EFAULT;
            }

            source = source[result.Count..];
            offset += (ulong)result.Count;
        }

        return Errno.None;
    }

    /// <inheritdoc/>
    protected override void Release()
    {
        if (Shared is not null)
        {
            Shared.Leave();
        }
        else
        {
            _descriptor.Dispose();
        }
    }
}

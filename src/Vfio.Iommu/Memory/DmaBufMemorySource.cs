using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

/// <summary>A part of another device's memory, imported to be shown to hardware. It can be taken away at any time, and does not come back.</summary>
/// <remarks>
/// Never charged, never pinned, and not for software's own copies (spec iommufd §2.7). Once revoked it faults wherever it is mapped; a
/// revocation waits for transfers that are under way.
/// </remarks>
internal sealed class DmaBufMemorySource : MemorySource
{
    private readonly DmaBufFile _file;
    private readonly DmaBufMapping _mapping;
    private readonly ulong _start;
    private int _transfers;
    private volatile bool _revoked;

    private DmaBufMemorySource(DmaBufFile file, ulong start, ulong length, bool writable)
    {
        _file = file;
        _start = start;
        Length = length;
        IsWritable = writable;
        Errno error = file.TryMap(Revoke, out DmaBufMapping? mapping);
        _revoked = error != Errno.None;
        _mapping = mapping!;
    }

    public override ulong Length { get; }

    public override bool IsWritable { get; }

    public override string Kind => "dma-buf";

    public override bool IsDeviceMemory => true;

    public override bool IsRevoked => _revoked;

    /// <summary>Imports a part of a file.</summary>
    /// <returns><see cref="Errno.EINVAL"/> for a part that lies outside; <see cref="Errno.ENODEV"/> while the memory is revoked; <see cref="Errno.EBADF"/> for a closed file.</returns>
    public static Errno TryImport(DmaBufFile file, ulong start, ulong length, bool writable, out MemorySource? source)
    {
        source = null;
        if (start >= file.Length || length > file.Length - start)
        {
            return Errno.EINVAL;
        }

        if (!file.TryDuplicate())
        {
            return Errno.EBADF;
        }

        DmaBufMemorySource imported = new(file, start, length, writable);
        if (imported._mapping is null)
        {
            file.Dispose();
            return Errno.ENODEV;
        }

        source = imported;
        return Errno.None;
    }

    public override ulong PlacementHint(ulong offset) => _start + offset;

    public override Errno Read(ulong offset, Span<byte> destination)
    {
        if (!TryEnter())
        {
            return Errno.EFAULT;
        }

        Errno error = Errno.None;
        while (!destination.IsEmpty && error == Errno.None)
        {
            MappableMemory piece = Find(_start + offset, out ulong at, out ulong room);
            int count = (int)Math.Min(room, (ulong)destination.Length);
            IoResult done = piece.Descriptor.ReadAt(destination[..count], at);
            error = done.IsError ? done.Error : done.Value == 0 ? Errno.EFAULT : Errno.None;
            destination = destination[Math.Max(0, done.IsError ? 0 : done.Count)..];
            offset += done.IsError ? 0 : (ulong)done.Count;
        }

        Interlocked.Decrement(ref _transfers);
        return error;
    }

    public override Errno Write(ulong offset, ReadOnlySpan<byte> source)
    {
        if (!TryEnter())
        {
            return Errno.EFAULT;
        }

        Errno error = Errno.None;
        while (!source.IsEmpty && error == Errno.None)
        {
            MappableMemory piece = Find(_start + offset, out ulong at, out ulong room);
            int count = (int)Math.Min(room, (ulong)source.Length);
            IoResult done = piece.Descriptor.WriteAt(source[..count], at);
            error = done.IsError ? done.Error : done.Value == 0 ? Errno.EFAULT : Errno.None;
            source = source[(done.IsError ? 0 : done.Count)..];
            offset += done.IsError ? 0 : (ulong)done.Count;
        }

        Interlocked.Decrement(ref _transfers);
        return error;
    }

    protected override void Release()
    {
        _mapping.Dispose();
        _file.Dispose();
    }

    private bool TryEnter()
    {
        Interlocked.Increment(ref _transfers);
        if (!_revoked)
        {
            return true;
        }

        Interlocked.Decrement(ref _transfers);
        return false;
    }

    private void Revoke()
    {
        _revoked = true;
        Interlocked.MemoryBarrier();
        SpinWait spin = default;
        while (Volatile.Read(ref _transfers) != 0)
        {
            spin.SpinOnce();
        }
    }

    /// <summary>The piece around a position, the position in its descriptor, and what is left of it.</summary>
    private MappableMemory Find(ulong position, out ulong at, out ulong room)
    {
        foreach (MappableMemory piece in _mapping.Pieces)
        {
            if (position < piece.Length)
            {
                at = piece.Offset + position;
                room = piece.Length - position;
                return piece;
            }

            position -= piece.Length;
        }

        throw new InvalidOperationException("The import lies inside the file.");
    }
}

using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>What devices had in place of a process that has ended: a pinned page outlives its process.</summary>
/// <remarks>Pages that another process shares are used there. Others, which nobody else sees, are copied.</remarks>
internal sealed class KeptMemory
{
    /// <summary>As much is copied at most.</summary>
    private const ulong MaximumCopy = 1 << 30;
    private const ulong PageSize = 4096;
    private readonly List<Piece> _pieces = [];
    private readonly Lock _lock = new();
    private ulong _copied;

    /// <summary>Whether some of it would have been too much.</summary>
    public bool IsCut { get; private set; }

    /// <summary>Keeps a range of a process that is about to end. Ranges come in the order of their addresses.</summary>
    /// <param name="process">The process.</param>
    /// <param name="address">The first address.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="others">Processes that may share it.</param>
    public void Add(SupervisedProcess process, ulong address, ulong length, IReadOnlyList<Sharer> others)
    {
        ulong end = address + length;
        while (address < end && process.Mappings.TryGet(address, out ProcessMapping mapping))
        {
            ulong last = Math.Min(mapping.End, end);
            while (address < last)
            {
                address = AddFirst(process, in mapping, address, last, others);
            }
        }
    }

    public Errno Read(ulong address, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            if (Find(address) is not { } piece)
            {
                return Errno.EFAULT;
            }

            int count = (int)Math.Min((ulong)destination.Length, piece.Address + piece.Length - address);
            Errno error = Errno.None;
            if (piece.Copy is { } copy)
            {
                lock (_lock)
                {
                    copy.AsSpan((int)(address - piece.Address), count).CopyTo(destination);
                }
            }
            else
            {
                error = piece.Sharer!.Read(piece.Place + (address - piece.Address), destination[..count]);
            }

            if (error != Errno.None)
            {
                return error;
            }

            destination = destination[count..];
            address += (ulong)count;
        }

        return Errno.None;
    }

    public Errno Write(ulong address, ReadOnlySpan<byte> source)
    {
        while (!source.IsEmpty)
        {
            if (Find(address) is not { } piece)
            {
                return Errno.EFAULT;
            }

            int count = (int)Math.Min((ulong)source.Length, piece.Address + piece.Length - address);
            Errno error = Errno.None;
            if (piece.Copy is { } copy)
            {
                lock (_lock)
                {
                    source[..count].CopyTo(copy.AsSpan((int)(address - piece.Address)));
                }
            }
            else
            {
                error = piece.Sharer!.Write(piece.Place + (address - piece.Address), source[..count]);
            }

            if (error != Errno.None)
            {
                return error;
            }

            source = source[count..];
            address += (ulong)count;
        }

        return Errno.None;
    }

    /// <summary>Keeps the start of a part of one mapping.</summary>
    /// <returns>Where the next piece begins.</returns>
    private ulong AddFirst(SupervisedProcess process, in ProcessMapping mapping, ulong address, ulong end, IReadOnlyList<Sharer> others)
    {
        ulong position = mapping.Offset + (address - mapping.Start);
        if (mapping.IsShared && mapping.File.Inode != 0)
        {
            foreach (Sharer other in others)
            {
                foreach (ProcessMapping shared in other.Mappings)
                {
                    ulong reach = shared.Offset + (shared.End - shared.Start);
                    if (shared.IsShared && shared.File == mapping.File && position >= shared.Offset && position < reach)
                    {
                        ulong length = Math.Min(end - address, reach - position);
                        ulong place = shared.Start + (position - shared.Offset);
                        other.Memory.Note(place, length);
                        _pieces.Add(new Piece(address, length, place, other.Memory, null));
                        return address + length;
                    }
                }
            }
        }

        // By pages, of which one or the other may not be there.
        ulong size = Math.Min(end - address, 256 * PageSize);
        if (_copied + size > MaximumCopy)
        {
            IsCut = true;
            return end;
        }

        byte[] copy = new byte[size];
        if (process.Memory.Read(address, copy) == Errno.None)
        {
            _copied += size;
            _pieces.Add(new Piece(address, size, 0, null, copy));
        }

        return address + size;
    }

    private Piece? Find(ulong address)
    {
        int low = 0;
        int high = _pieces.Count - 1;
        while (low <= high)
        {
            int middle = (low + high) / 2;
            Piece piece = _pieces[middle];
            if (address < piece.Address)
            {
                high = middle - 1;
            }
            else if (address - piece.Address >= piece.Length)
            {
                low = middle + 1;
            }
            else
            {
                return piece;
            }
        }

        return null;
    }

    /// <summary>A process that may share what another one leaves.</summary>
    /// <param name="Memory">Its memory.</param>
    /// <param name="Mappings">What it has mapped.</param>
    internal sealed record Sharer(CallerMemory Memory, IReadOnlyList<ProcessMapping> Mappings);

    private sealed record Piece(ulong Address, ulong Length, ulong Place, CallerMemory? Sharer, byte[]? Copy);
}

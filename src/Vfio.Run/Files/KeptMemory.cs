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

            int count = piece.Fit(address, destination.Length);
            Errno error = piece.Read(address, destination[..count]);
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

            int count = piece.Fit(address, source.Length);
            Errno error = piece.Write(address, source[..count]);
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
                        _pieces.Add(new SharedPiece(address, length, other.Memory, place));
                        return address + length;
                    }
                }
            }
        }

        // In parts, as some of it may not be there.
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
            _pieces.Add(new CopiedPiece(address, copy));
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

    private abstract class Piece(ulong address, ulong length)
    {
        public ulong Address => address;

        public ulong Length => length;

        /// <summary>How many bytes from an address on are the piece's, of those that are wanted.</summary>
        public int Fit(ulong from, int wanted) => (int)Math.Min((ulong)wanted, address + length - from);

        public abstract Errno Read(ulong from, Span<byte> destination);

        public abstract Errno Write(ulong to, ReadOnlySpan<byte> source);
    }

    /// <summary>What another process has as well, at an address of its own.</summary>
    private sealed class SharedPiece(ulong address, ulong length, CallerMemory sharer, ulong place) : Piece(address, length)
    {
        public override Errno Read(ulong from, Span<byte> destination) => sharer.Read(place + (from - Address), destination);

        public override Errno Write(ulong to, ReadOnlySpan<byte> source) => sharer.Write(place + (to - Address), source);
    }

    /// <summary>What nobody else has.</summary>
    private sealed class CopiedPiece(ulong address, byte[] copy) : Piece(address, (ulong)copy.Length)
    {
        private readonly Lock _lock = new();

        public override Errno Read(ulong from, Span<byte> destination)
        {
            lock (_lock)
            {
                copy.AsSpan((int)(from - Address), destination.Length).CopyTo(destination);
            }

            return Errno.None;
        }

        public override Errno Write(ulong to, ReadOnlySpan<byte> source)
        {
            lock (_lock)
            {
                source.CopyTo(copy.AsSpan((int)(to - Address)));
            }

            return Errno.None;
        }
    }
}

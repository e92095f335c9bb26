using Vfio.Abi;

namespace Vfio.Iommu;

/// <summary>Transfers over one piece of memory after the other, and windows on one. Takes no lock and allocates nothing.</summary>
internal static class DmaTransfer
{
    /// <summary>Copies from memory. Not atomic: bytes before a failing piece have been copied.</summary>
    /// <returns><see cref="Errno.EINVAL"/> for length 0; <see cref="Errno.EOVERFLOW"/>; what the translation or the memory reported.</returns>
    public static Errno Read<T>(T translation, ulong iova, Span<byte> destination)
        where T : struct, IDmaTranslation
    {
        if (!IovaRange.TryCreate(iova, (ulong)destination.Length, out _))
        {
            return destination.IsEmpty ? Errno.EINVAL : Errno.EOVERFLOW;
        }

        while (true)
        {
            Errno error = translation.Enter(iova, DmaAccess.Read, out TransferGate? gate);
            if (error != Errno.None)
            {
                return error;
            }

            int piece = Piece(gate!, iova, destination.Length);
            error = gate!.Source.Read(gate.SourceOffset(iova), destination[..piece]);
            gate.Exit();
            if (error != Errno.None || piece == destination.Length)
            {
                return error;
            }

            destination = destination[piece..];
            iova += (ulong)piece;
        }
    }

    /// <summary>Copies to memory; otherwise as <see cref="Read"/>.</summary>
    public static Errno Write<T>(T translation, ulong iova, ReadOnlySpan<byte> source)
        where T : struct, IDmaTranslation
    {
        if (!IovaRange.TryCreate(iova, (ulong)source.Length, out _))
        {
            return source.IsEmpty ? Errno.EINVAL : Errno.EOVERFLOW;
        }

        while (true)
        {
            Errno error = translation.Enter(iova, DmaAccess.Write, out TransferGate? gate);
            if (error != Errno.None)
            {
                return error;
            }

            int piece = Piece(gate!, iova, source.Length);
            error = gate!.Source.Write(gate.SourceOffset(iova), source[..piece]);
            if (error == Errno.None && IovaRange.TryCreate(iova, (ulong)piece, out IovaRange written))
            {
                translation.Written(gate, written);
            }

            gate.Exit();
            if (error != Errno.None || piece == source.Length)
            {
                return error;
            }

            source = source[piece..];
            iova += (ulong)piece;
        }
    }

    /// <summary>Opens a window on memory that one piece shows and that can be reached directly. Opening it for writing counts as a write.</summary>
    /// <returns>As <see cref="Read"/>; <see cref="Errno.EOPNOTSUPP"/> when the range spans pieces or the memory can only be copied.</returns>
    public static unsafe Errno TryOpenWindow<T>(T translation, ulong iova, int length, DmaAccess access, out DmaWindow window)
        where T : struct, IDmaTranslation
    {
        window = default;
        if (length <= 0)
        {
            return Errno.EINVAL;
        }

        if (!IovaRange.TryCreate(iova, (ulong)length, out IovaRange range))
        {
            return Errno.EOVERFLOW;
        }

        Errno error = translation.Enter(iova, access, out TransferGate? gate);
        if (error != Errno.None)
        {
            return error;
        }

        nint pointer = gate!.Range.Contains(range) ? gate.GetPointer(iova) : 0;
        if (pointer == 0)
        {
            gate.Exit();
            return Errno.EOPNOTSUPP;
        }

        if ((access & DmaAccess.Write) != 0)
        {
            translation.Written(gate, range);
        }

        // SAFETY: the gate contains the range, its source is reachable by pointer without faults, and it stays until Exit.
        window = new DmaWindow(gate, new Span<byte>((void*)pointer, length));
        return Errno.None;
    }

    private static int Piece(TransferGate gate, ulong iova, int wanted) => (int)Math.Min((ulong)wanted - 1, gate.Range.Last - iova) + 1;
}

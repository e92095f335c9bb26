using Vfio.Abi;

namespace Vfio.Iommu;

/// <content>Scatter and gather.</content>
public sealed partial class DmaSpace
{
    /// <summary>Copies from pieces of the user's memory to the device, one after the other.</summary>
    /// <param name="segments">The pieces, in the order of their bytes. Those that continue one another are transferred together.</param>
    /// <param name="destination">Receives the bytes; as long as the pieces together.</param>
    /// <param name="transferred">
    /// How many bytes at the beginning of <paramref name="destination"/> were copied for certain: all of them on success, those of whole pieces
    /// on failure. Some that follow may have been overwritten, too; later pieces were not touched.
    /// </param>
    /// <returns>
    /// As for <see cref="Read(ulong, Span{byte})"/>. What can be told without looking at memory is told before anything is copied:
    /// <see cref="Errno.EINVAL"/> when there is no piece, one has no length, or the lengths differ, and <see cref="Errno.EOVERFLOW"/> when one
    /// reaches over the end of the addresses.
    /// </returns>
    /// <remarks>Allocates nothing, takes no lock. The device's user may change its memory, and the mappings between two pieces.</remarks>
    public Errno Read(ReadOnlySpan<DmaSegment> segments, Span<byte> destination, out int transferred)
    {
        transferred = 0;
        IDmaPath? path = _path;
        Errno error = path is null ? Errno.EINVAL : Check(segments, destination.Length);
        while (error == Errno.None && !segments.IsEmpty)
        {
            DmaSegment run = TakeRun(ref segments);
            error = path!.Read(run.Iova, destination.Slice(transferred, run.Length));
            transferred += error == Errno.None ? run.Length : 0;
        }

        return error;
    }

    /// <summary>Copies from the device to pieces of the user's memory, one after the other.</summary>
    /// <param name="segments">The pieces, in the order of their bytes. Those that continue one another are transferred together.</param>
    /// <param name="source">The bytes; as many as the pieces have together.</param>
    /// <param name="transferred">
    /// How many bytes at the beginning of <paramref name="source"/> are in the user's memory for certain: all of them on success, those of
    /// whole pieces on failure. Some that follow may be, too; later pieces were not touched.
    /// </param>
    /// <returns>As for <see cref="Read(ReadOnlySpan{DmaSegment}, Span{byte}, out int)"/>.</returns>
    /// <remarks>Allocates nothing, takes no lock.</remarks>
    public Errno Write(ReadOnlySpan<DmaSegment> segments, ReadOnlySpan<byte> source, out int transferred)
    {
        transferred = 0;
        IDmaPath? path = _path;
        Errno error = path is null ? Errno.EINVAL : Check(segments, source.Length);
        while (error == Errno.None && !segments.IsEmpty)
        {
            DmaSegment run = TakeRun(ref segments);
            error = path!.Write(run.Iova, source.Slice(transferred, run.Length));
            Log(run.Iova, run.Length);
            transferred += error == Errno.None ? run.Length : 0;
        }

        return error;
    }

    private static Errno Check(ReadOnlySpan<DmaSegment> segments, int length)
    {
        long sum = 0;
        foreach (DmaSegment segment in segments)
        {
            if (segment.Length <= 0)
            {
                return Errno.EINVAL;
            }

            if (!IovaRange.TryCreate(segment.Iova, (ulong)segment.Length, out _))
            {
                return Errno.EOVERFLOW;
            }

            sum += segment.Length;
        }

        return sum == 0 || sum != length ? Errno.EINVAL : Errno.None;
    }

    /// <summary>Takes the first piece and those that continue it. Their sum was checked.</summary>
    private static DmaSegment TakeRun(ref ReadOnlySpan<DmaSegment> segments)
    {
        DmaSegment run = segments[0];
        int count = 1;
        for (; count < segments.Length; count++)
        {
            ulong end = unchecked(run.Iova + (ulong)run.Length);
            if (end == 0 || segments[count].Iova != end)
            {
                break;
            }

            run = run with { Length = run.Length + segments[count].Length };
        }

        segments = segments[count..];
        return run;
    }
}

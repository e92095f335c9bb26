namespace Vfio.Run;

/// <summary>The numbers that descriptors of ours have in the program: the filter knows them by their numbers alone.</summary>
/// <param name="First">The first number.</param>
/// <param name="End">The number behind the last one; below 1024, so that select(2) takes them.</param>
internal readonly record struct DescriptorRange(int First, int End)
{
    private const int SelectSize = 1024;
    private const int Smallest = 64;

    /// <summary>The upper half of what the program may open, as far as select(2) goes.</summary>
    /// <param name="limit">The soft limit of open descriptors.</param>
    /// <exception cref="VfioException">EMFILE when the limit leaves no room.</exception>
    public static DescriptorRange For(ulong limit)
    {
        int end = (int)Math.Min(limit, SelectSize);
        return end >= Smallest
            ? new DescriptorRange(end / 2, end)
            : throw new VfioException(Abi.Errno.EMFILE, "run a program", $"It may open {limit} files only; let it have at least {Smallest} (ulimit -n).");
    }

    public bool Contains(int number) => number >= First && number < End;
}

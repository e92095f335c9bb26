using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Testing;

/// <summary>DMA memory that fails or dawdles on demand, for tests of how a device bears it.</summary>
/// <remarks>
/// Map it with <see cref="Ioas.MapFixed"/> into the address space of a <see cref="LocalConnection"/>. It can only be copied, so that no
/// transfer passes it by. All members may be called from any thread.
/// </remarks>
public sealed class FaultyMemorySource : MemorySource
{
    private readonly MemorySource _inner;
    private int _reads;
    private int _writes;

    /// <summary>Wraps memory.</summary>
    /// <param name="inner">What is read and written when nothing is to fail; a reference is taken.</param>
    public FaultyMemorySource(MemorySource inner)
    {
        ArgumentNullException.ThrowIfNull(inner);
        inner.AddReference();
        _inner = inner;
    }

    /// <summary>What the device's reads fail with; <see cref="Errno.None"/> to have them succeed.</summary>
    public Errno ReadError { get; set; }

    /// <summary>What the device's writes fail with; <see cref="Errno.None"/> to have them succeed.</summary>
    public Errno WriteError { get; set; }

    /// <summary>How many transfers of each direction succeed before the errors take effect.</summary>
    public int SuccessesBefore { get; set; }

    /// <summary>How long each transfer takes in addition.</summary>
    public TimeSpan Delay { get; set; }

    /// <summary>When set, transfers wait until it is.</summary>
    public ManualResetEventSlim? Gate { get; set; }

    /// <summary>How many reads the device made.</summary>
    public int Reads => Volatile.Read(ref _reads);

    /// <summary>How many writes the device made.</summary>
    public int Writes => Volatile.Read(ref _writes);

    /// <inheritdoc/>
    public override ulong Length => _inner.Length;

    /// <inheritdoc/>
    public override bool IsWritable => _inner.IsWritable;

    /// <inheritdoc/>
    public override string Kind => "faulty";

    /// <inheritdoc/>
    public override Errno Read(ulong offset, Span<byte> destination)
    {
        int number = Interlocked.Increment(ref _reads);
        Dawdle();
        return ReadError != Errno.None && number > SuccessesBefore ? ReadError : _inner.Read(offset, destination);
    }

    /// <inheritdoc/>
    public override Errno Write(ulong offset, ReadOnlySpan<byte> source)
    {
        int number = Interlocked.Increment(ref _writes);
        Dawdle();
        return WriteError != Errno.None && number > SuccessesBefore ? WriteError : _inner.Write(offset, source);
    }

    /// <inheritdoc/>
    protected override void Release() => _inner.RemoveReference();

    private void Dawdle()
    {
        Gate?.Wait();
        if (Delay > TimeSpan.Zero)
        {
            Thread.Sleep(Delay);
        }
    }
}

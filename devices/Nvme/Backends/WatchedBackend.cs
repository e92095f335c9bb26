using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>
/// A backend whose failures are told to somebody, each kind once: a full disk fails every write, and the host gets a status for each of them.
/// </summary>
/// <param name="inner">The backend; owned from now on.</param>
/// <param name="failed">Is told what was tried and what came back; called on any thread.</param>
internal sealed class WatchedBackend(INvmeBackend inner, Action<string, Errno> failed) : INvmeBackend
{
    private const int Operations = 4;
    private const int Errors = 256;
    private readonly byte[] _told = new byte[Operations * Errors];

    /// <inheritdoc/>
    public ulong Length => inner.Length;

    /// <inheritdoc/>
    public bool MayWait => inner.MayWait;

    /// <inheritdoc/>
    public bool IsRemote => inner.IsRemote;

    /// <inheritdoc/>
    public bool HasVolatileCache => inner.HasVolatileCache;

    /// <inheritdoc/>
    public bool IsReadOnly => inner.IsReadOnly;

    /// <summary>As <see cref="IReportingBackend.IsDegraded"/>; one that reports nothing is not.</summary>
    public bool IsDegraded => inner is IReportingBackend { IsDegraded: true };

    /// <inheritdoc/>
    public Errno Read(ulong offset, Span<byte> destination) => Watch(0, "read", inner.Read(offset, destination));

    /// <inheritdoc/>
    public Errno Write(ulong offset, ReadOnlySpan<byte> source) => Watch(1, "write", inner.Write(offset, source));

    /// <inheritdoc/>
    public Errno Flush() => Watch(2, "flush", inner.Flush());

    /// <inheritdoc/>
    public Errno Clear(ulong offset, ulong length)
    {
        // EOPNOTSUPP is an answer and no failure.
        Errno error = inner.Clear(offset, length);
        return error == Errno.EOPNOTSUPP ? error : Watch(3, "clear", error);
    }

    /// <inheritdoc/>
    public void Dispose() => inner.Dispose();

    private Errno Watch(int operation, string name, Errno error)
    {
        int place = (operation * Errors) + Math.Clamp((int)error, 0, Errors - 1);
        if (error != Errno.None && Interlocked.Exchange(ref _told[place], 1) == 0)
        {
            failed(name, error);
        }

        return error;
    }
}

using Vfio.Abi;

namespace Vfio.Devices.Nvme.Tests.Harness;

/// <summary>Memory that can be made to fail, to wait, and to have a cache.</summary>
internal sealed class TestBackend(ulong length) : INvmeBackend
{
    private readonly MemoryBackend _memory = new(length);
    private int _waiting;

    public ulong Length => _memory.Length;

    public bool MayWait { get; init; }

    public bool IsRemote { get; init; }

    public bool HasVolatileCache { get; init; }

    public bool IsReadOnly { get; init; }

    /// <summary>What all calls but <see cref="Flush"/> answer.</summary>
    public Errno Failure { get; set; }

    /// <summary>What <see cref="Flush"/> answers.</summary>
    public Errno FlushFailure { get; set; }

    public int Flushes { get; private set; }

    /// <summary>Reads and writes wait for it.</summary>
    public ManualResetEventSlim Gate { get; } = new(initialState: true);

    /// <summary>Set when a call has come to the gate.</summary>
    public ManualResetEventSlim Arrived { get; } = new();

    /// <summary>Calls that are at the gate.</summary>
    public int Waiting => Volatile.Read(ref _waiting);

    public bool IsDisposed { get; private set; }

    public Errno Read(ulong offset, Span<byte> destination) => Pass() is var error && error != Errno.None ? error : _memory.Read(offset, destination);

    public Errno Write(ulong offset, ReadOnlySpan<byte> source) => Pass() is var error && error != Errno.None ? error : _memory.Write(offset, source);

    public Errno Clear(ulong offset, ulong length) => Failure != Errno.None ? Failure : _memory.Clear(offset, length);

    public Errno Flush()
    {
        Flushes++;
        return FlushFailure;
    }

    public void Dispose()
    {
        IsDisposed = true;
        _memory.Dispose();
        Gate.Dispose();
        Arrived.Dispose();
    }

    private Errno Pass()
    {
        Interlocked.Increment(ref _waiting);
        Arrived.Set();
        Gate.Wait(TimeSpan.FromSeconds(10));
        Interlocked.Decrement(ref _waiting);
        return Failure;
    }
}

using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>The memory of a process of the program, and the devices that it has mapped in it.</summary>
/// <remarks>
/// What is a file's and can be had here as well devices reach themselves (<see cref="SharedFiles"/>), also when the program has unmapped it. Of the rest, what the program
/// unmaps is not there any more, also for devices that still have it mapped (a use is EFAULT), and what devices have in place of a process that ends is kept for other processes
/// that use the same devices.
/// </remarks>
internal sealed class CallerMemory(SupervisedProcess process, DescriptorMemoryPolicy policy) : IPinnableUserMemory, IProcessUserMemory, IShareableUserMemory
{
    private const ulong PageSize = 4096;
    private readonly PageSet _pinned = new();
    private readonly SharedFiles _shared = new(process, policy);
    private volatile bool _isLost;
    private volatile KeptMemory? _kept;
    private CallerMemoryWithDevices? _withDevices;

    /// <summary>The same memory with the devices that are mapped in it. One object, as containers know a process by its memory.</summary>
    public CallerMemoryWithDevices WithDevices
        => _withDevices ?? Interlocked.CompareExchange(ref _withDevices, new CallerMemoryWithDevices(process, this), null) ?? _withDevices!;

    public int ProcessId => process.Id;

    /// <summary>The process has executed another program, or ended.</summary>
    public void Lose()
    {
        _isLost = true;
        _shared.Dispose();
    }

    public MemorySource? TryShare(ulong address, ulong length, bool writable) => _isLost ? null : _shared.TryShare(address, length, writable);

    /// <summary>Keeps what is pinned: the process is about to end.</summary>
    /// <param name="others">Finds the processes that may still use it; asked only when there is something.</param>
    /// <returns>What is kept; null when there is nothing, or nobody to keep it for.</returns>
    public KeptMemory? Keep(Func<IReadOnlyList<KeptMemory.Sharer>> others)
    {
        lock (_pinned)
        {
            List<(ulong First, ulong Count)> runs = [.. _pinned.Runs()];
            if (runs.Count == 0 || others() is not { Count: > 0 } sharers)
            {
                return null;
            }

            KeptMemory kept = new();
            foreach ((ulong first, ulong count) in runs)
            {
                kept.Add(process, first * PageSize, count * PageSize, sharers);
            }

            return _kept = kept;
        }
    }

    public Errno Read(ulong address, Span<byte> destination)
        => !_isLost && ProcessMemory.TryRead(process.Id, (nuint)address, destination) == Errno.None ? Errno.None
            : _kept?.Read(address, destination) ?? Errno.EFAULT;

    public Errno Write(ulong address, ReadOnlySpan<byte> source)
        => !_isLost && ProcessMemory.TryWrite(process.Id, (nuint)address, source) == Errno.None ? Errno.None
            : _kept?.Write(address, source) ?? Errno.EFAULT;

    public Errno Pin(ulong address, ulong length, bool writable) => Pin(address, length, writable, takesDevices: false);

    /// <summary>As <see cref="Pin(ulong, ulong, bool)"/>.</summary>
    /// <param name="address">The first address.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="writable">Whether the pages will be written.</param>
    /// <param name="takesDevices">Whether some of it may be devices that the process has mapped.</param>
    public Errno Pin(ulong address, ulong length, bool writable, bool takesDevices)
    {
        Errno error = process.Mappings.Check(address, length, writable, takesDevices, this);
        if (error == Errno.None)
        {
            Note(address, length);
        }

        return error;
    }

    public void Unpin(ulong address, ulong length) => Note(address, length, pinned: false);

    /// <summary>Notes that devices use pages, or no longer do.</summary>
    public void Note(ulong address, ulong length, bool pinned = true)
    {
        lock (_pinned)
        {
            ulong first = address / PageSize;
            _pinned.Set(first, ((address + length + PageSize - 1) / PageSize) - first, pinned);
        }
    }
}

/// <summary>A process's memory for containers, in which also devices that it has mapped can be the target of DMA.</summary>
internal sealed class CallerMemoryWithDevices(SupervisedProcess process, CallerMemory memory) : IPinnableUserMemory, IProcessUserMemory, IShareableUserMemory
{
    public int ProcessId => process.Id;

    public MemorySource? TryShare(ulong address, ulong length, bool writable) => memory.TryShare(address, length, writable);

    public Errno Read(ulong address, Span<byte> destination)
    {
        Errno error = memory.Read(address, destination);
        return error == Errno.None ? error
            : process.Mappings.TryFind(address, out TrappedAccess target) && target.Holds(destination.Length) ? target.Read(destination) : error;
    }

    public Errno Write(ulong address, ReadOnlySpan<byte> source)
    {
        Errno error = memory.Write(address, source);
        return error == Errno.None ? error
            : process.Mappings.TryFind(address, out TrappedAccess target) && target.Holds(source.Length) ? target.Write(source) : error;
    }

    public Errno Pin(ulong address, ulong length, bool writable) => memory.Pin(address, length, writable, takesDevices: true);

    public void Unpin(ulong address, ulong length) => memory.Unpin(address, length);
}

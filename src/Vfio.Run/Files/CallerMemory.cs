using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>The memory of a process of the program, and the devices that it has mapped in it.</summary>
/// <remarks>Nothing keeps its pages: what the program unmaps is not there any more, also for devices that still have it mapped (a use is EFAULT).</remarks>
internal sealed class CallerMemory(SupervisedProcess process) : IPinnableUserMemory, IProcessUserMemory
{
    private volatile bool _isLost;
    private CallerMemoryWithDevices? _withDevices;

    /// <summary>The same memory with the devices that are mapped in it. One object, as containers know a process by its memory.</summary>
    public CallerMemoryWithDevices WithDevices
        => _withDevices ?? Interlocked.CompareExchange(ref _withDevices, new CallerMemoryWithDevices(process, this), null) ?? _withDevices!;

    public int ProcessId => process.Id;

    /// <summary>The process has executed another program, or ended.</summary>
    public void Lose() => _isLost = true;

    public Errno Read(ulong address, Span<byte> destination)
        => _isLost || ProcessMemory.TryRead(process.Id, (nuint)address, destination) != Errno.None ? Errno.EFAULT : Errno.None;

    public Errno Write(ulong address, ReadOnlySpan<byte> source)
        => _isLost || ProcessMemory.TryWrite(process.Id, (nuint)address, source) != Errno.None ? Errno.EFAULT : Errno.None;

    public Errno Pin(ulong address, ulong length, bool writable) => process.Mappings.Check(address, length, writable, takesDevices: false, this);

    public void Unpin(ulong address, ulong length)
    {
    }
}

/// <summary>A process's memory for containers, in which also devices that it has mapped can be the target of DMA.</summary>
internal sealed class CallerMemoryWithDevices(SupervisedProcess process, CallerMemory memory) : IPinnableUserMemory, IProcessUserMemory
{
    public int ProcessId => process.Id;

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

    public Errno Pin(ulong address, ulong length, bool writable) => process.Mappings.Check(address, length, writable, takesDevices: true, memory);

    public void Unpin(ulong address, ulong length)
    {
    }
}

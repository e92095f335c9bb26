using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>The memory of a process of the program, and the devices that it has mapped in it.</summary>
/// <remarks>Nothing keeps its pages: what the program unmaps is not there any more, also for devices that still have it mapped (a use is EFAULT).</remarks>
internal sealed class CallerMemory(SupervisedProcess process) : IPinnableUserMemory, IProcessUserMemory
{
    private const ulong PageSize = 4096;
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

    public Errno Pin(ulong address, ulong length, bool writable)
    {
        Span<byte> probe = stackalloc byte[1];
        for (ulong offset = 0; offset < length; offset += PageSize)
        {
            Errno error = Read(address + offset, probe);

            // A page that is read only can't be for a device that writes. Writing what is there would race with the program, so its mapping tells.
            if (error != Errno.None || (writable && !process.Mappings.IsWritable(address + offset)))
            {
                return Errno.EFAULT;
            }
        }

        return Errno.None;
    }

    public void Unpin(ulong address, ulong length)
    {
    }
}

/// <summary>A process's memory for containers, in which also devices that it has mapped can be the target of DMA.</summary>
internal sealed class CallerMemoryWithDevices(SupervisedProcess process, CallerMemory memory) : IPinnableUserMemory, IProcessUserMemory
{
    private const ulong PageSize = 4096;

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

    public Errno Pin(ulong address, ulong length, bool writable)
    {
        for (ulong offset = 0; offset < length; offset += PageSize)
        {
            if (!process.Mappings.TryFind(address + offset, out _) && memory.Pin(address + offset, PageSize, writable) != Errno.None)
            {
                return Errno.EFAULT;
            }
        }

        return Errno.None;
    }

    public void Unpin(ulong address, ulong length)
    {
    }
}

using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>Where a process has devices mapped, and what its memory allows. The kernel is asked each time, so that nothing of it can be out of date.</summary>
/// <param name="processId">The process.</param>
/// <param name="table">The open files.</param>
internal sealed class SupervisedMappings(int processId, OpenFileTable table)
{
    private const ulong PageSize = 4096;
    private readonly Lock _lock = new();
    private readonly ProcessMaps _maps = new(processId);

    /// <summary>The process has executed another program, or ended.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            _maps.Dispose();
        }
    }

    /// <summary>The device and the place in it that an address is.</summary>
    public bool TryFind(ulong address, out TrappedAccess target)
    {
        if (TryGet(address, out ProcessMapping mapping) && FileOf(in mapping) is { } file)
        {
            target = new TrappedAccess(file, mapping.Offset + (address - mapping.Start), mapping.End - address);
            return true;
        }

        target = default;
        return false;
    }

    /// <summary>Checks that devices can be given a range for DMA.</summary>
    /// <param name="address">Its first address.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <param name="writable">Whether they shall write there.</param>
    /// <param name="takesDevices">Whether some of it may be devices that the process has mapped.</param>
    /// <param name="memory">The process's memory.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EFAULT"/> when some of it is not there or not allowed.</returns>
    public Errno Check(ulong address, ulong length, bool writable, bool takesDevices, CallerMemory memory)
    {
        Span<byte> probe = stackalloc byte[1];
        ulong end = address + length;
        while (address < end)
        {
            if (!TryGet(address, out ProcessMapping mapping))
            {
                return Errno.EFAULT;
            }

            ulong last = Math.Min(mapping.End, end);
            bool isDevice = FileOf(in mapping) is not null;
            if (isDevice ? !takesDevices : !mapping.IsReadable || (writable && !mapping.IsWritable))
            {
                return Errno.EFAULT;
            }

            // What is mapped beyond the end of its file is not there; only the end of a mapping can be that.
            if (!isDevice && memory.Read(last - Math.Min(PageSize, last - address), probe) != Errno.None)
            {
                return Errno.EFAULT;
            }

            address = last;
        }

        return Errno.None;
    }

    /// <summary>Whether a file is mapped anywhere.</summary>
    public bool Holds(FileIdentity file) => ProcessMaps.ReadAll(processId).Any(mapping => mapping.File == file);

    /// <summary>The mapping that an address is in.</summary>
    public bool TryGet(ulong address, out ProcessMapping mapping)
    {
        lock (_lock)
        {
            return _maps.TryFind(address, out mapping) == Errno.None;
        }
    }

    private OpenFile? FileOf(in ProcessMapping mapping)
        => mapping.File.Inode != 0 && table.Find(mapping.File) is { IsDead: false } file ? file : null;
}

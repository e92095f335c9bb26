using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu.Testing;

/// <summary>Finds which page an address or a place in a mapped source is: by the file where memory is shared, by the process where it is private. For one operation.</summary>
internal sealed class FrameFinder : IDisposable
{
    private const ulong PageSize = 4096;
    private readonly Dictionary<int, ProcessMaps> _processes = [];

    /// <summary>The page behind an address of a caller.</summary>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EFAULT"/> when there is none.</returns>
    public Errno TryFind(IUserMemory memory, ulong address, out MemoryFrame frame)
    {
        frame = default;
        Errno error = memory.Read(address & ~(PageSize - 1), stackalloc byte[1]);
        return error != Errno.None ? Errno.EFAULT : TryName(memory, address, out frame);
    }

    /// <summary>The page at an offset of a source.</summary>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EFAULT"/> when that is not known any more.</returns>
    public Errno TryFind(MemorySource source, ulong offset, out MemoryFrame frame)
    {
        switch (source)
        {
            case UserMemorySource user:
                return TryName(user.Memory, user.PlacementHint(offset), out frame);
            case HugePageFileSource huge:
                return TryFind(huge.File, offset, out frame);
            case DescriptorMemorySource file:
                Errno error = file.Descriptor.TryGetStatus(out FileStatus status);
                frame = new MemoryFrame(null, status.Device, status.Inode, file.PlacementHint(offset) / PageSize);
                return error;
            default:
                frame = new MemoryFrame(source, 0, 0, source.PlacementHint(offset) / PageSize);
                return Errno.None;
        }
    }

    public void Dispose()
    {
        foreach (ProcessMaps maps in _processes.Values)
        {
            maps.Dispose();
        }
    }

    private Errno TryName(IUserMemory memory, ulong address, out MemoryFrame frame)
    {
        if (memory is not IProcessUserMemory process)
        {
            frame = new MemoryFrame(memory, 0, 0, address / PageSize);
            return Errno.None;
        }

        if (!_processes.TryGetValue(process.ProcessId, out ProcessMaps? maps))
        {
            _processes.Add(process.ProcessId, maps = new ProcessMaps(process.ProcessId));
        }

        bool isMapped = maps.TryFind(address, out ProcessMapping mapping) == Errno.None;
        frame = !isMapped ? default
            : mapping.IsShared && mapping.File.Inode != 0
                ? new MemoryFrame(null, mapping.File.Device, mapping.File.Inode, (mapping.Offset + (address - mapping.Start)) / PageSize)
                : new MemoryFrame(null, 0, (ulong)process.ProcessId, address / PageSize);
        return isMapped ? Errno.None : Errno.EFAULT;
    }
}

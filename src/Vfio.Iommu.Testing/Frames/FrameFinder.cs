using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu.Testing;

/// <summary>Finds which page an address or a place in a mapped source is. What it learns of processes holds for one operation.</summary>
internal sealed class FrameFinder
{
    private const ulong PageSize = 4096;
    private readonly Dictionary<int, ProcessMappings> _processes = [];

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
            case DescriptorMemorySource file:
                Errno error = file.Descriptor.TryGetStatus(out FileStatus status);
                frame = new MemoryFrame(null, status.Device, status.Inode, file.PlacementHint(offset) / PageSize);
                return error;
            default:
                frame = new MemoryFrame(source, 0, 0, source.PlacementHint(offset) / PageSize);
                return Errno.None;
        }
    }

    private Errno TryName(IUserMemory memory, ulong address, out MemoryFrame frame)
    {
        if (memory is not IProcessUserMemory process)
        {
            frame = new MemoryFrame(memory, 0, 0, address / PageSize);
            return Errno.None;
        }

        if (!_processes.TryGetValue(process.ProcessId, out ProcessMappings? mappings))
        {
            mappings = ProcessMappings.Read(process.ProcessId);
            _processes.Add(process.ProcessId, mappings);
        }

        return mappings.TryName(address, out frame) ? Errno.None : Errno.EFAULT;
    }
}

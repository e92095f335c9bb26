using System.Globalization;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>The files that a process has mapped to share them, and has descriptors of: opened by way of <c>/proc</c>, and mapped here when devices are to reach them.</summary>
/// <remarks>
/// What a program could shrink is not mapped unless it is trusted, since an access behind the new end would be this process's SIGBUS; a memfd that allows it is sealed
/// against that. Mappings are shared between all that the program maps for devices.
/// </remarks>
internal sealed class SharedFiles(SupervisedProcess process, DescriptorMemoryPolicy policy) : IDisposable
{
    private const int MaximumMappings = 1024;
    private readonly DescriptorMemoryPool _pool = new(policy, MaximumMappings);
    private readonly Lock _lock = new();

    /// <summary>The numbers at which files were found the last time; -1 for those that have none, such as shared memory without a name, which are not looked for again.</summary>
    private readonly Dictionary<FileIdentity, int> _numbers = [];

    /// <summary>Finds the memory behind a range of the process's addresses.</summary>
    /// <param name="address">The first address.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="writable">Whether it will be written.</param>
    /// <returns>Null when it is not of one file, in the file's order, or the file cannot be had here.</returns>
    public MemorySource? TryShare(ulong address, ulong length, bool writable)
    {
        if (policy == DescriptorMemoryPolicy.NeverMap || !TryFindFile(address, length, writable, out FileIdentity file, out ulong offset) || Open(file, writable) is not { } descriptor)
        {
            return null;
        }

        DmaAccess access = writable ? DmaAccess.Read | DmaAccess.Write : DmaAccess.Read;
        if (_pool.TryCreate(descriptor, offset, length, access, mayMap: true, out MemorySource? source) != Errno.None)
        {
            descriptor.Dispose();
            return null;
        }

        if (source is MappedMemorySource)
        {
            return source;
        }

        // By its descriptor it would be copied by the kernel as well.
        source!.RemoveReference();
        return null;
    }

    public void Dispose() => _pool.Dispose();

    private bool TryFindFile(ulong address, ulong length, bool writable, out FileIdentity file, out ulong offset)
    {
        file = default;
        offset = 0;
        ulong end = address + length;
        for (ulong next = address; next < end;)
        {
            // The kernel splits mappings where rights or advice differ.
            if (!process.Mappings.TryGet(next, out ProcessMapping mapping)
                || !mapping.IsShared || mapping.File.Inode == 0 || !mapping.IsReadable || (writable && !mapping.IsWritable))
            {
                return false;
            }

            ulong position = mapping.Offset + (next - mapping.Start);
            if (next == address)
            {
                file = mapping.File;
                offset = position;
            }
            else if (mapping.File != file || position - offset != next - address)
            {
                return false;
            }

            next = mapping.End;
        }

        return true;
    }

    /// <summary>Opens a file that the process has a descriptor of. What was mapped and closed again cannot be found.</summary>
    private FileDescriptor? Open(FileIdentity file, bool writable)
    {
        lock (_lock)
        {
            if (!_numbers.TryGetValue(file, out int number) || (number >= 0 && !Is(process.Id, number, file)))
            {
                number = Find(file);
                _numbers[file] = number;
            }

            if (number < 0)
            {
                return null;
            }

            string path = string.Create(CultureInfo.InvariantCulture, $"/proc/{process.Id}/fd/{number}");
            if (FileDescriptor.TryOpen(path, writable ? OpenMode.ReadWrite : OpenMode.ReadOnly, out FileDescriptor? descriptor) != Errno.None)
            {
                return null;
            }

            // The number may have become another file's meanwhile.
            if (Is(Environment.ProcessId, descriptor!.Number, file))
            {
                return descriptor;
            }

            descriptor.Dispose();
            return null;
        }
    }

    private int Find(FileIdentity file)
    {
        foreach (int number in ProcessFiles.Numbers(process.Id))
        {
            if (Is(process.Id, number, file))
            {
                return number;
            }
        }

        return -1;
    }

    private static bool Is(int processId, int number, FileIdentity file) => ProcessFiles.TryIdentify(processId, number, out FileIdentity identity) == Errno.None && identity == file;
}

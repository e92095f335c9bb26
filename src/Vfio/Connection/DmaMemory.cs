using Vfio.Abi;
using Vfio.Linux;

namespace Vfio;

/// <summary>Memory of a driver that devices can be given: mapped for none, one or several of them, whole or in parts.</summary>
/// <remarks>
/// <para>Shared memory with a descriptor, sealed against shrinking. Zero at first.</para>
/// <para>Dispose frees it as soon as no <see cref="DmaMapping"/> of it is left: what a device reaches is never given to somebody else.</para>
/// </remarks>
public sealed class DmaMemory : IDisposable
{
    private const string Name = "vfio-dma";
    private const ulong NormalPage = 4096;
    private const ulong HugePage = 2 << 20;
    private readonly MemFd _file;

    private DmaMemory(MemFd file, MemoryMapping mapping, ulong pageSize)
    {
        _file = file;
        Mapping = mapping;
        PageSize = pageSize;
    }

    /// <summary>The descriptor, for whoever is given the memory; owned by this object.</summary>
    public FileDescriptor Descriptor => _file.Descriptor;

    /// <summary>The memory in this process; owned by this object.</summary>
    public MemoryMapping Mapping { get; }

    /// <summary>Length in bytes, a multiple of <see cref="PageSize"/>.</summary>
    public nuint Length => Mapping.Length;

    /// <summary>Bytes in each of its pages: 4096, or 2 MiB of huge ones.</summary>
    public ulong PageSize { get; }

    /// <summary>The memory; when it is less than 2 GiB.</summary>
    /// <exception cref="ObjectDisposedException">It is disposed.</exception>
    public Span<byte> Span => Mapping.Span;

    /// <summary>Allocates memory.</summary>
    /// <param name="length">Length in bytes; rounded up to pages of 4096 bytes.</param>
    /// <param name="hugePages">
    /// Whether to take huge pages for a length that is a multiple of them, where the machine has some to spare (<c>vm.nr_hugepages</c>): an IOMMU
    /// translates them with fewer entries. Ordinary ones are taken when there are none.
    /// </param>
    /// <returns>The memory.</returns>
    /// <exception cref="LinuxException">The descriptor or the memory is not to be had.</exception>
    public static DmaMemory Allocate(nuint length, bool hugePages = false)
    {
        ArgumentOutOfRangeException.ThrowIfZero(length);
        ulong rounded = ((ulong)length + (NormalPage - 1)) & ~(NormalPage - 1);
        if (hugePages && rounded % HugePage == 0 && TryAllocate(rounded, huge: true, out DmaMemory? memory) == Errno.None)
        {
            return memory!;
        }

        Errno error = TryAllocate(rounded, huge: false, out memory);
        return error == Errno.None ? memory! : throw new LinuxException(error, $"allocate {rounded} bytes for DMA");
    }

    /// <summary>A part of the memory.</summary>
    /// <param name="offset">Where it starts, in bytes.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <returns>The part.</returns>
    public Span<byte> Slice(nuint offset, int length) => Mapping.Slice(offset, length);

    /// <summary>Frees the memory, now or with its last mapping for a device.</summary>
    public void Dispose()
    {
        _file.Dispose();
        Mapping.Dispose();
    }

    private static Errno TryAllocate(ulong length, bool huge, out DmaMemory? memory)
    {
        memory = null;
        MemoryMapping? mapping = null;
        Errno error = MemFd.TryCreate(Name, length, huge, out MemFd? file);
        if (error != Errno.None)
        {
            return error;
        }

        error = file!.TryAddSeals(FileSeals.Shrink | FileSeals.Grow);
        if (error == Errno.None)
        {
            // Of huge pages the kernel sets aside what it promises here, so that a later access cannot fail.
            error = MemoryMapping.TryMap(file.Descriptor, 0, (nuint)length, MemoryProtection.ReadWrite, out mapping);
        }

        if (error != Errno.None)
        {
            file.Dispose();
            return error;
        }

        memory = new DmaMemory(file, mapping!, huge ? HugePage : NormalPage);
        return Errno.None;
    }
}

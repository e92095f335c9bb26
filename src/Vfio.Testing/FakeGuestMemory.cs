using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Testing;

/// <summary>Memory of a guest, as a virtual machine monitor has it: a memfd with an address. Sealed against shrinking.</summary>
public sealed class FakeGuestMemory : IDisposable
{
    private readonly MemFd _file;
    private readonly MemoryMapping _mapping;

    /// <summary>Makes zeroed memory.</summary>
    /// <param name="address">The guest's address of the first byte.</param>
    /// <param name="size">Length in bytes, a multiple of the page size, below 2 GiB.</param>
    /// <param name="seal">False to leave it unsealed, as careless monitors do.</param>
    public FakeGuestMemory(ulong address, ulong size, bool seal = true)
    {
        Address = address;
        _file = new MemFd("guest-memory", size);
        if (seal)
        {
            VfioException.ThrowIfError(_file.TryAddSeals(FileSeals.Shrink | FileSeals.Grow), "seal guest memory");
        }

        VfioException.ThrowIfError(
            MemoryMapping.TryMap(_file.Descriptor, 0, (nuint)size, MemoryProtection.ReadWrite, out MemoryMapping? mapping), "map guest memory");
        _mapping = mapping!;
    }

    /// <summary>The guest's address of the first byte.</summary>
    public ulong Address { get; }

    /// <summary>Length in bytes.</summary>
    public ulong Size => _file.Size;

    /// <summary>The descriptor to hand to a server, owned by this object.</summary>
    public FileDescriptor Descriptor => _file.Descriptor;

    /// <summary>All of the memory.</summary>
    public Span<byte> Span => _mapping.Span;

    /// <summary>A part of the memory by the guest's address.</summary>
    /// <param name="address">The guest's address.</param>
    /// <param name="length">Length in bytes.</param>
    /// <returns>The bytes.</returns>
    public Span<byte> Slice(ulong address, int length) => _mapping.Slice((nuint)(address - Address), length);

    /// <summary>Reads a value at a guest's address.</summary>
    /// <typeparam name="T">Its type.</typeparam>
    /// <param name="address">The guest's address.</param>
    /// <returns>The value.</returns>
    public T Read<T>(ulong address)
        where T : unmanaged
        => MemoryMarshal.Read<T>(Slice(address, Unsafe.SizeOf<T>()));

    /// <summary>Writes a value at a guest's address.</summary>
    /// <typeparam name="T">Its type.</typeparam>
    /// <param name="address">The guest's address.</param>
    /// <param name="value">The value.</param>
    public void Write<T>(ulong address, T value)
        where T : unmanaged
        => MemoryMarshal.Write(Slice(address, Unsafe.SizeOf<T>()), in value);

    /// <summary>Maps the memory into an address space of the core, at the guest's address.</summary>
    /// <param name="space">The address space.</param>
    /// <param name="access">What devices may do.</param>
    /// <returns><see cref="Errno.None"/>, or what <see cref="Ioas.MapFixed"/> answers. Unmap before disposing.</returns>
    public Errno MapInto(Ioas space, DmaAccess access = DmaAccess.ReadWrite)
    {
        ArgumentNullException.ThrowIfNull(space);
        MappedMemorySource source = new(_mapping, 0, Size, writable: true, ownsMapping: false);
        Errno error = space.MapFixed(Address, Size, source, 0, access);
        source.RemoveReference();
        return error;
    }

    /// <summary>Unmaps and closes.</summary>
    public void Dispose()
    {
        _mapping.Dispose();
        _file.Dispose();
    }
}

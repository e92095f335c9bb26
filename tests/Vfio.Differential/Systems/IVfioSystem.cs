using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Differential;

/// <summary>
/// The system calls of a VFIO user, answered by a kernel or by our core. All addresses are of this process, descriptors are numbers.
/// </summary>
internal interface IVfioSystem : IDisposable
{
    /// <summary>The name by which users ask for a device.</summary>
    string DeviceName(Target target);

    /// <summary>The path of a device's group node.</summary>
    string GroupPath(Target target);

    /// <summary>The path of a device's own node.</summary>
    string DevicePath(Target target);

    /// <summary><c>open(2)</c> for reading and writing: the descriptor.</summary>
    IoResult Open(string path);

    /// <summary><c>close(2)</c>.</summary>
    IoResult Close(int descriptor);

    /// <summary><c>ioctl(2)</c>; the argument is an address or a value.</summary>
    IoResult Ioctl(int descriptor, uint request, ulong argument);

    /// <summary><c>pread(2)</c>, or <c>read(2)</c> without a position.</summary>
    IoResult Read(int descriptor, Span<byte> buffer, ulong? position);

    /// <summary><c>pwrite(2)</c>, or <c>write(2)</c> without a position.</summary>
    IoResult Write(int descriptor, ReadOnlySpan<byte> buffer, ulong? position);

    /// <summary><c>poll(2)</c> without waiting: what would not have to wait.</summary>
    IoResult Poll(int descriptor);

    /// <summary><c>mmap(2)</c>.</summary>
    /// <returns>The error; <paramref name="mapping"/> unmaps.</returns>
    Errno Map(int descriptor, ulong position, ulong length, MemoryProtection protection, bool shared, out IDisposable? mapping);

    /// <summary>Makes an object of the host's own (an eventfd, a memfd) a descriptor of the caller.</summary>
    /// <param name="descriptor">The descriptor, which stays the caller's.</param>
    int Adopt(FileDescriptor descriptor);

    /// <summary>Takes over a descriptor that a command answered, to be closed with the rest.</summary>
    void Keep(int descriptor);
}

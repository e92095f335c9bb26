using System.Runtime.InteropServices;

namespace Vfio.Linux;

/// <summary>What <see cref="FileDescriptor.TryGetStatus"/> tells about an open file.</summary>
/// <param name="Kind">What the file is.</param>
/// <param name="Size">Length in bytes; 0 for what has none. A peer may change it at any time unless it is sealed.</param>
/// <param name="Device">The file system's device number, major in the upper and minor in the lower 32 bits.</param>
/// <param name="Inode">The inode number; with <paramref name="Device"/> it identifies the file.</param>
/// <param name="BlockSize">Preferred unit of I/O in bytes; for hugetlbfs the size of its pages.</param>
/// <param name="Allocated">Bytes of storage that the file takes: less than its length when it has holes.</param>
/// <param name="RepresentedDevice">For a device node the device it stands for, composed like <paramref name="Device"/>.</param>
[StructLayout(LayoutKind.Auto)]
public readonly record struct FileStatus(
    FileKind Kind,
    ulong Size,
    ulong Device,
    ulong Inode,
    uint BlockSize,
    ulong Allocated,
    ulong RepresentedDevice);

using System.Runtime.InteropServices;

namespace Vfio.Iommu;

/// <summary>What a pool knows a window by.</summary>
/// <param name="Device">The file system of its file.</param>
/// <param name="Inode">The file there, which a mapping of it keeps.</param>
/// <param name="IsWritable">Whether it may be written.</param>
/// <param name="IsGuarded">Whether nobody touches it but the kernel.</param>
/// <param name="First">The first unit of the file that it shows.</param>
/// <param name="Last">The last one, as far as the file reached when it was mapped.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct FileWindowKey(ulong Device, ulong Inode, bool IsWritable, bool IsGuarded, ulong First, ulong Last);

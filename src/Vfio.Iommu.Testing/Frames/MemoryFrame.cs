namespace Vfio.Iommu.Testing;

/// <summary>Which page of memory something is, whoever shows it: a page of a file, of a process's own memory, or of an object of this process.</summary>
/// <param name="Owner">The object, for memory that is no process's and no file's.</param>
/// <param name="Device">The file system's device, or 0.</param>
/// <param name="Inode">The file on it, or the process.</param>
/// <param name="Page">The page in it.</param>
internal readonly record struct MemoryFrame(object? Owner, ulong Device, ulong Inode, ulong Page);

using Vfio.Linux;

namespace Vfio.Iommu;

/// <summary>A descriptor that several sources of a pool read and write through. Closed with the last of them.</summary>
/// <param name="pool">The pool, which counts the users under its lock.</param>
/// <param name="file">The descriptor; owned.</param>
/// <param name="device">The file system of its file.</param>
/// <param name="inode">The file there, which the descriptor keeps.</param>
/// <param name="mode">How it is open.</param>
internal sealed class SharedDescriptor(DescriptorMemoryPool pool, FileDescriptor file, ulong device, ulong inode, OpenMode mode)
{
    public FileDescriptor File => file;

    /// <summary>What the pool knows it by.</summary>
    public (ulong Device, ulong Inode, OpenMode Mode) Key => (device, inode, mode);

    /// <summary>Sources that use it. Guarded by the pool's lock.</summary>
    public int Users { get; set; } = 1;

    /// <summary>A source is gone.</summary>
    public void Leave()
    {
        if (pool.Leave(this))
        {
            file.Dispose();
        }
    }
}

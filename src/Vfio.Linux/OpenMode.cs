namespace Vfio.Linux;

/// <summary>How <see cref="FileDescriptor.TryOpen"/> opens a path; the values are those of <c>O_*</c>, and <c>O_CLOEXEC</c> is always added.</summary>
[Flags]
public enum OpenMode
{
    /// <summary>Reading only.</summary>
    ReadOnly = 0,

    /// <summary>Writing only.</summary>
    WriteOnly = 1,

    /// <summary>Reading and writing.</summary>
    ReadWrite = 2,

    /// <summary>A file that is missing is made, with the rights that the process's mask leaves of reading and writing for all.</summary>
    Create = 0x40,

    /// <summary>With <see cref="Create"/> the file must be new. Without it, for block devices only: nobody else may hold or mount the device (<see cref="Abi.Errno.EBUSY"/>).</summary>
    Exclusive = 0x80,

    /// <summary>Reads and writes answer <see cref="Abi.Errno.EAGAIN"/> instead of waiting.</summary>
    NonBlocking = 0x800,

    /// <summary>Writes go to the end of the file, whatever position they name.</summary>
    Append = 0x400,

    /// <summary>Reads and writes pass by the page cache, with buffers and positions that the device can take.</summary>
    Direct = 0x4000,

    /// <summary>A symbolic link in the last place is not followed: <see cref="Abi.Errno.ELOOP"/>, or the link itself with <see cref="PathOnly"/>.</summary>
    NoFollow = 0x20000,

    /// <summary>Only names the file, whatever it is: for <see cref="FileDescriptor.TryGetStatus"/>, without reading or writing it.</summary>
    PathOnly = 0x200000,

    /// <summary>A terminal does not become the controlling terminal of this process.</summary>
    NoControllingTerminal = 0x100,
}

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

    /// <summary>Reads and writes answer <see cref="Abi.Errno.EAGAIN"/> instead of waiting.</summary>
    NonBlocking = 0x800,

    /// <summary>A terminal does not become the controlling terminal of this process.</summary>
    NoControllingTerminal = 0x100,
}

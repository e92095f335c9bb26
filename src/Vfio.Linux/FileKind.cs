namespace Vfio.Linux;

/// <summary>What an open file is, from the type bits of its mode.</summary>
public enum FileKind
{
    /// <summary>A type this enumeration does not know.</summary>
    Unknown,

    /// <summary>A regular file; a memfd is one too.</summary>
    Regular,

    /// <summary>A directory.</summary>
    Directory,

    /// <summary>A character device.</summary>
    CharacterDevice,

    /// <summary>A block device.</summary>
    BlockDevice,

    /// <summary>A pipe or FIFO.</summary>
    Pipe,

    /// <summary>A socket.</summary>
    Socket,

    /// <summary>A symbolic link, opened as itself.</summary>
    SymbolicLink,

    /// <summary>An anonymous inode without a type: eventfd, epoll, timerfd, and the files that VFIO hands out.</summary>
    Anonymous,
}

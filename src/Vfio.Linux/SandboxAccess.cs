namespace Vfio.Linux;

/// <summary>What a process in a sandbox may do with a file, or with everything beneath a folder.</summary>
public enum SandboxAccess
{
    /// <summary>Read files and list folders.</summary>
    Read,

    /// <summary>Read, and execute: what a program and its libraries need.</summary>
    ReadExecute,

    /// <summary>Read, write and make shorter or longer what is there; ioctls of devices.</summary>
    ReadWrite,

    /// <summary>All of that, and make, rename and remove files, folders and sockets.</summary>
    Full,
}

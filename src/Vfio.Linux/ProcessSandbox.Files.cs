using Vfio.Abi;

namespace Vfio.Linux;

public static partial class ProcessSandbox
{
    private const ulong Execute = 1 << 0;
    private const ulong WriteFile = 1 << 1;
    private const ulong ReadFile = 1 << 2;
    private const ulong ReadFolder = 1 << 3;

    /// <summary>Remove folder and file, make character device (not given to anybody), folder, file, socket, FIFO, block device (nor that), symbolic link.</summary>
    private const ulong Change = (1 << 4) | (1 << 5) | (1 << 7) | (1 << 8) | (1 << 9) | (1 << 10) | (1 << 12);
    private const ulong MakeDevices = (1 << 6) | (1 << 11);

    /// <summary>Link and rename across folders: version 2.</summary>
    private const ulong Refer = 1 << 13;

    /// <summary>Version 3.</summary>
    private const ulong Truncate = 1 << 14;

    /// <summary>Version 5.</summary>
    private const ulong DeviceIoctl = 1 << 15;
    private const ulong AllOfFiles = Execute | WriteFile | ReadFile | Truncate | DeviceIoctl;

    /// <summary>Bind and connect TCP: version 4.</summary>
    private const ulong Tcp = 3;

    /// <summary>Abstract sockets and signals to processes outside: version 6.</summary>
    private const ulong Scopes = 3;

    /// <summary>The version of Landlock that the kernel has; 0 when it has none, or it is turned off.</summary>
    public static unsafe int LandlockVersion
        => (int)Math.Max(0, Interop.SystemCall(Interop.CallLandlockCreateRuleset, 0, null, Interop.LandlockQueryVersion, 0));

    /// <summary>
    /// Lets this thread, and all that come of it, reach these files and no others; nor TCP, nor abstract sockets and signals of processes outside,
    /// where the kernel's Landlock knows these. Descriptors that are open stay usable.
    /// </summary>
    /// <param name="paths">What may be reached. What is not there is left out.</param>
    /// <returns>EOPNOTSUPP for a kernel without Landlock, EPERM before <see cref="TryForbidNewPrivileges"/>, or what the kernel answers.</returns>
    public static unsafe Errno TryRestrictFiles(IReadOnlyCollection<SandboxPath> paths)
    {
        ArgumentNullException.ThrowIfNull(paths);
        int version = LandlockVersion;
        if (version == 0)
        {
            return Errno.EOPNOTSUPP;
        }

        Interop.LandlockRuleset attributes = new()
        {
            Files = Execute | WriteFile | ReadFile | ReadFolder | Change | MakeDevices
                | (version >= 2 ? Refer : 0) | (version >= 3 ? Truncate : 0) | (version >= 5 ? DeviceIoctl : 0),
            Network = version >= 4 ? Tcp : 0,
            Scopes = version >= 6 ? Scopes : 0,
        };
        nint size = version >= 6 ? 24 : version >= 4 ? 16 : 8;

        // SAFETY: the structure is a local, and the size within it.
        nint number = Interop.SystemCall(Interop.CallLandlockCreateRuleset, (nint)(&attributes), (void*)size, 0, 0);
        if (number < 0)
        {
            return Interop.LastError;
        }

        using FileDescriptor rules = new((int)number, ownsHandle: true);
        foreach (SandboxPath path in paths)
        {
            Errno error = Allow(rules, path, attributes.Files);
            if (error is not (Errno.None or Errno.ENOENT))
            {
                return error;
            }
        }

        return Interop.SystemCall(Interop.CallLandlockRestrictSelf, rules.Number, null, 0, 0) < 0 ? Interop.LastError : Errno.None;
    }

    private static unsafe Errno Allow(FileDescriptor rules, SandboxPath path, ulong known)
    {
        Errno error = FileDescriptor.TryOpen(path.Path, OpenMode.PathOnly, out FileDescriptor? place);
        if (error != Errno.None)
        {
            return error;
        }

        using (place)
        {
            error = place!.TryGetStatus(out FileStatus status);
            if (error != Errno.None)
            {
                return error;
            }

            ulong access = path.Access switch
            {
                SandboxAccess.Read => ReadFile | ReadFolder,
                SandboxAccess.ReadExecute => ReadFile | ReadFolder | Execute,
                SandboxAccess.ReadWrite => ReadFile | ReadFolder | WriteFile | Truncate | DeviceIoctl,
                _ => ReadFile | ReadFolder | WriteFile | Truncate | DeviceIoctl | Change | Refer,
            };

            // What is no folder takes no rights of folders.
            Interop.LandlockRule rule = new() { Access = access & known & (status.Kind == FileKind.Directory ? ulong.MaxValue : AllOfFiles), Folder = place.Number };

            // SAFETY: the structure is a local, and the kernel only reads it.
            return Interop.SystemCall(Interop.CallLandlockAddRule, rules.Number, (void*)Interop.LandlockPathBeneath, (nint)(&rule), 0) < 0
                ? Interop.LastError
                : Errno.None;
        }
    }
}

using System.Buffers.Binary;
using System.Text;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <content>Calls that take paths.</content>
internal sealed partial class CallServer
{
    private const int CurrentFolder = -100;
    private const ulong OpenWriteOnly = 1;
    private const ulong OpenAccess = 3;
    private const ulong OpenCreate = 0x40;
    private const ulong OpenExclusive = 0x80;
    private const ulong OpenTruncate = 0x200;
    private const ulong OpenDirectory = 0x10000;
    private const ulong OpenNoFollow = 0x20000;
    private const ulong OpenPath = 0x200000;
    private const int FlagSymbolicLink = 0x100;
    private const int FlagEmptyPath = 0x1000;
    private const int WriteAccess = 2;
    private const int ExecuteAccess = 1;
    private const uint CharacterDevice = 0x2180;
    private const uint Folder = 0x41ED;
    private const uint Link = 0xA1FF;
    private const uint ReadOnlyFile = 0x8124;
    private const uint WritableFile = 0x81A4;
    private const uint WriteOnlyFile = 0x8080;
    private readonly byte[] _how = new byte[24];

    private IoResult? Open(SupervisedProcess process, ulong address, int folder, ulong flags)
    {
        bool follows = (flags & OpenNoFollow) == 0 && (flags & (OpenCreate | OpenExclusive)) != (OpenCreate | OpenExclusive);
        _files.CloseOnExec = (flags & CloseOnExecFlag) != 0;
        if (CallerText.TryReadPath(process.Memory, address, out string path) != Errno.None)
        {
            return null;
        }

        if (StatusText.ProcessOf(path, process.Id) is not 0 and int other)
        {
            return _supervision.Processes.Get(other) is { } known && StatusText.Compose(other, known.Account) is { } status ? GiveContent(status) : null;
        }

        if (!TryResolve(process, path, folder, follows, out Resolution found))
        {
            return null;
        }

        if (found.Kind != ResolutionKind.Found)
        {
            return ErrorOf(found, (flags & OpenCreate) != 0);
        }

        _supervision.TakeClosed(always: true);
        _files.Name = found.Path;
        bool writes = (flags & OpenAccess) != 0;
        if ((flags & (OpenCreate | OpenExclusive)) == (OpenCreate | OpenExclusive))
        {
            return Errno.EEXIST;
        }

        switch (found.Node)
        {
            case VirtualDirectory directory:
                return writes ? Errno.EISDIR : Give(_supervision.Mirror.Make(found.Path, directory), (flags & OpenPath) != 0);
            case VirtualLink:
                return Errno.ELOOP;
            case not null when (flags & OpenDirectory) != 0:
                return Errno.ENOTDIR;
            case DeviceNode:
                Errno error = _supervision.Host.Open(found.Path, out VfioFile? file);
                return error != Errno.None ? error : Install(file!);
            case VirtualAttribute attribute when writes:
                return attribute.Write is null ? Errno.EACCES : Install(new AttributeFile(attribute));
            case VirtualAttribute attribute:
                return attribute.Read is null ? Errno.EACCES : GiveContent(Encoding.UTF8.GetBytes(attribute.Read()));
            case BinaryAttribute binary:
                return writes ? Errno.EACCES : GiveContent(binary.Read());
            default:
                return Errno.ENOENT;
        }
    }

    private IoResult Install(VfioFile file)
    {
        IoResult installed = _files.Install(file);
        if (installed.IsError)
        {
            file.Dispose();
        }

        return installed;
    }

    /// <summary>Gives the caller a folder of the mirror.</summary>
    private IoResult Give(string path, bool pathOnly)
    {
        Errno error = FileDescriptor.TryOpen(path, pathOnly ? OpenMode.PathOnly : OpenMode.ReadOnly, out FileDescriptor? folder);
        if (error != Errno.None)
        {
            return error;
        }

        using (folder)
        {
            return _listener.TryGive(_files.Call, folder!, _files.CloseOnExec);
        }
    }

    /// <summary>Gives the caller a file with some content, as an attribute's is made when it is opened.</summary>
    private IoResult GiveContent(byte[] content)
    {
        Errno error = MemFd.TryCreate("vfio-attribute", 0, hugePages: false, out MemFd? file);
        if (error != Errno.None)
        {
            return error;
        }

        using (file)
        {
            _ = file!.Descriptor.WriteAt(content, 0);
            error = FileDescriptor.TryOpen($"/proc/self/fd/{file.Descriptor.Number}", OpenMode.ReadOnly, out FileDescriptor? readable);
            using (readable)
            {
                return error != Errno.None ? error : _listener.TryGive(_files.Call, readable!, _files.CloseOnExec);
            }
        }
    }

    private IoResult? Status(SupervisedProcess process, ulong path, int folder, bool follows, ulong buffer)
    {
        if (!TryResolve(process, path, folder, follows, out Resolution found))
        {
            return null;
        }

        return found.Kind != ResolutionKind.Found ? ErrorOf(found) : WriteStatus(process, found.Node!, found.Path, buffer);
    }

    private IoResult? StatusAt(SupervisedProcess process, in SystemCallNotice call)
    {
        if (IsOfDescriptor(process, call[1], (int)call[3], (int)call[0], out OpenFile? file))
        {
            return file is null ? null : WriteStatus(process, new DeviceNode(file.Path), file.Path, call[2]);
        }

        return Status(process, call[1], (int)call[0], ((int)call[3] & FlagSymbolicLink) == 0, call[2]);
    }

    private IoResult? ExtendedStatus(SupervisedProcess process, in SystemCallNotice call)
    {
        if (IsOfDescriptor(process, call[1], (int)call[2], (int)call[0], out OpenFile? file))
        {
            return file is null ? null : WriteExtendedStatus(process, new DeviceNode(file.Path), file.Path, call[4]);
        }

        if (!TryResolve(process, call[1], (int)call[0], ((int)call[2] & FlagSymbolicLink) == 0, out Resolution found))
        {
            return null;
        }

        return found.Kind != ResolutionKind.Found ? ErrorOf(found) : WriteExtendedStatus(process, found.Node!, found.Path, call[4]);
    }

    /// <summary>Whether a call with an empty path asks about its descriptor.</summary>
    private static bool IsOfDescriptor(SupervisedProcess process, ulong path, int flags, int number, out OpenFile? file)
    {
        Span<byte> first = stackalloc byte[1];
        bool isEmpty = (flags & FlagEmptyPath) != 0 && (path == 0 || (process.Memory.Read(path, first) == Errno.None && first[0] == 0));
        file = isEmpty && number >= 0 ? process.Find(number) : null;
        return isEmpty;
    }

    private static IoResult WriteStatus(SupervisedProcess process, VirtualNode node, string path, ulong buffer)
    {
        const int Size = 144;
        Span<byte> status = stackalloc byte[Size];
        status.Clear();
        uint mode = ModeOf(node);
        BinaryPrimitives.WriteUInt64LittleEndian(status[8..], InodeOf(path));
        BinaryPrimitives.WriteUInt64LittleEndian(status[16..], 1);
        BinaryPrimitives.WriteUInt32LittleEndian(status[24..], mode);
        BinaryPrimitives.WriteUInt32LittleEndian(status[28..], UserId);
        BinaryPrimitives.WriteUInt64LittleEndian(status[40..], mode == CharacterDevice ? ((ulong)DeviceNumbers.Major << 8) | (uint)DeviceNumbers.MinorOf(path) : 0);
        BinaryPrimitives.WriteUInt64LittleEndian(status[48..], SizeOf(node));
        BinaryPrimitives.WriteUInt64LittleEndian(status[56..], PageSize);
        return process.Memory.Write(buffer, status);
    }

    private static IoResult WriteExtendedStatus(SupervisedProcess process, VirtualNode node, string path, ulong buffer)
    {
        const int Size = 256;
        const uint BasicFields = 0x7FF;
        Span<byte> status = stackalloc byte[Size];
        status.Clear();
        uint mode = ModeOf(node);
        BinaryPrimitives.WriteUInt32LittleEndian(status, BasicFields);
        BinaryPrimitives.WriteUInt32LittleEndian(status[4..], (uint)PageSize);
        BinaryPrimitives.WriteUInt32LittleEndian(status[16..], 1);
        BinaryPrimitives.WriteUInt32LittleEndian(status[20..], UserId);
        BinaryPrimitives.WriteUInt16LittleEndian(status[28..], (ushort)mode);
        BinaryPrimitives.WriteUInt64LittleEndian(status[32..], InodeOf(path));
        BinaryPrimitives.WriteUInt64LittleEndian(status[40..], SizeOf(node));
        if (mode == CharacterDevice)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(status[128..], DeviceNumbers.Major);
            BinaryPrimitives.WriteUInt32LittleEndian(status[132..], (uint)DeviceNumbers.MinorOf(path));
        }

        return process.Memory.Write(buffer, status);
    }

    private IoResult? Access(SupervisedProcess process, ulong path, int folder, int wanted)
    {
        if (!TryResolve(process, path, folder, follows: true, out Resolution found))
        {
            return null;
        }

        if (found.Kind != ResolutionKind.Found)
        {
            return ErrorOf(found);
        }

        uint mode = ModeOf(found.Node!);
        bool isRefused = ((wanted & WriteAccess) != 0 && (mode & 0x80) == 0) || ((wanted & ExecuteAccess) != 0 && (mode & 0x40) == 0);
        return isRefused ? Errno.EACCES : IoResult.Success();
    }

    private IoResult? ReadLink(SupervisedProcess process, ulong path, int folder, ulong buffer, ulong size)
    {
        if (CallerText.TryReadPath(process.Memory, path, out string text) != Errno.None)
        {
            return null;
        }

        string? target = TargetOfDescriptor(process, text);
        if (target is null)
        {
            if (!TryResolve(process, text, folder, follows: false, out Resolution found))
            {
                return null;
            }

            if (found.Kind != ResolutionKind.Found)
            {
                return ErrorOf(found);
            }

            if (found.Node is not VirtualLink link)
            {
                return Errno.EINVAL;
            }

            target = ProgramTree.TextOf(found.Path, link);
        }

        byte[] bytes = Encoding.UTF8.GetBytes(target);
        int count = (int)Math.Min((ulong)bytes.Length, size);
        Errno error = process.Memory.Write(buffer, bytes.AsSpan(0, count));
        return count == 0 ? Errno.EINVAL : error != Errno.None ? error : IoResult.Success(count);
    }

    /// <summary>What <c>/proc/self/fd</c> says of a descriptor of ours.</summary>
    private static string? TargetOfDescriptor(SupervisedProcess process, string path)
    {
        string own = $"/proc/{process.Id}/fd/";
        const string Self = "/proc/self/fd/";
        string? number = path.StartsWith(Self, StringComparison.Ordinal) ? path[Self.Length..] : path.StartsWith(own, StringComparison.Ordinal) ? path[own.Length..] : null;
        return int.TryParse(number, out int descriptor) ? process.Find(descriptor)?.Path : null;
    }

    private IoResult? ChangeDirectory(SupervisedProcess process, ulong path)
    {
        if (!TryResolve(process, path, CurrentFolder, follows: true, out Resolution found) || (found.Node is VirtualDirectory && Directory.Exists(found.Path)))
        {
            return null;
        }

        return found.Node is VirtualDirectory ? Errno.EACCES : found.Kind == ResolutionKind.Found ? Errno.ENOTDIR : ErrorOf(found);
    }

    private bool TryResolve(SupervisedProcess process, ulong address, int folder, bool follows, out Resolution found)
    {
        found = default;
        return CallerText.TryReadPath(process.Memory, address, out string path) == Errno.None && TryResolve(process, path, folder, follows, out found);
    }

    /// <summary>Finds out whether a path is ours.</summary>
    /// <returns>False to leave it to the kernel.</returns>
    private bool TryResolve(SupervisedProcess process, string path, int folder, bool follows, out Resolution found)
    {
        found = default;
        if (path.Length == 0)
        {
            return false;
        }

        if (path[0] != '/')
        {
            string? start = TargetOf(folder == CurrentFolder ? $"/proc/{process.Id}/cwd" : $"/proc/{process.Id}/fd/{folder}");
            if (start is null)
            {
                return false;
            }

            path = $"{_supervision.Mirror.PathOf(start) ?? start}/{path}";
        }

        if (!ProgramTree.MayHold(path))
        {
            return false;
        }

        found = _supervision.Tree.Resolve(path, follows);
        return found.Kind != ResolutionKind.Systems;
    }

    private static string? TargetOf(string link)
    {
        try
        {
            return new FileInfo(link).LinkTarget;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static Errno ErrorOf(Resolution found, bool creates = false) => found.Kind switch
    {
        ResolutionKind.NotADirectory => Errno.ENOTDIR,
        ResolutionKind.TooManyLinks => Errno.ELOOP,
        _ => creates ? Errno.EACCES : Errno.ENOENT,
    };

    private static uint ModeOf(VirtualNode node) => node switch
    {
        VirtualDirectory => Folder,
        VirtualLink => Link,
        DeviceNode => CharacterDevice,
        VirtualAttribute { Write: null } => ReadOnlyFile,
        VirtualAttribute { Read: null } => WriteOnlyFile,
        VirtualAttribute => WritableFile,
        _ => ReadOnlyFile,
    };

    private static ulong SizeOf(VirtualNode node) => node switch
    {
        VirtualDirectory or DeviceNode => 0,
        VirtualLink link => (ulong)link.Target.Length,
        BinaryAttribute binary => (ulong)binary.Read().Length,
        _ => PageSize,
    };

    /// <summary>The same path is the same file, and others are others.</summary>
    private static ulong InodeOf(string path)
    {
        ulong hash = 14695981039346656037;
        foreach (char letter in path)
        {
            hash = (hash ^ letter) * 1099511628211;
        }

        return hash;
    }

    private static uint UserId { get; } = Interop.GetEffectiveUserId();
}

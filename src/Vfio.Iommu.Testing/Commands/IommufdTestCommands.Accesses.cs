using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu.Testing;

public sealed partial class IommufdTestCommands
{
    private const uint PinningAccess = 1;
    private const uint WriteFlag = 1;

    private static Errno CreateAccess(IommufdTestCommands commands, IommufdContext context, ref TestCommand command, UserArgument argument)
    {
        if ((command.CreateAccess.Flags & ~PinningAccess) != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        if (argument.Files is not { } files)
        {
            return Errno.EMFILE;
        }

        MockAccess access = new();
        Errno error = access.Start(context, command.Id, (command.CreateAccess.Flags & PinningAccess) != 0);
        if (error != Errno.None)
        {
            access.Dispose();
            return error;
        }

        IoResult installed = files.Install(access);
        if (installed.IsError)
        {
            access.Dispose();
            return installed.Error;
        }

        command.CreateAccess.Descriptor = (int)installed.Value;
        error = Reply(argument, in command);
        if (error != Errno.None)
        {
            files.Remove((int)installed.Value);
            access.Dispose();
        }

        return error;
    }

    private static Errno ReplaceAccessIoas(IommufdTestCommands commands, IommufdContext context, ref TestCommand command, UserArgument argument)
    {
        Errno error = TryGetAccess(argument, command.Id, out MockAccess? access);
        return error != Errno.None ? error : access!.Access.IsAttached ? access.Access.AttachOrReplace(command.Target) : Errno.ENOENT;
    }

    private static Errno PinPages(IommufdTestCommands commands, IommufdContext context, ref TestCommand command, UserArgument argument)
    {
        PagesArguments pages = command.Pages;
        if ((pages.Flags & ~WriteFlag) != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        if (pages.Length > MaximumLength)
        {
            return Errno.ENOMEM;
        }

        Errno error = TryGetAccess(argument, command.Id, out MockAccess? access);
        if (error != Errno.None)
        {
            return error;
        }

        if (!access!.Access.NeedsPages)
        {
            return Errno.EOPNOTSUPP;
        }

        IUserMemory? memory = argument.Memory;
        error = access.Pin(
            pages.Iova,
            pages.Length,
            (pages.Flags & WriteFlag) != 0 ? DmaAccess.ReadWrite : DmaAccess.Read,
            pin => pages.Address == 0 ? Errno.None : memory is null ? Errno.EFAULT : Compare(pin, memory, pages.Address - (pages.Iova % PageSize)),
            out command.Pages.Item);
        if (error == Errno.None)
        {
            error = Reply(argument, in command);
            if (error != Errno.None)
            {
                _ = access.Unpin(command.Pages.Item);
            }
        }

        return error;
    }

    /// <summary>The pages of a pin must be those behind the caller's addresses.</summary>
    private static Errno Compare(AreaPin pin, IUserMemory memory, ulong address)
    {
        using FrameFinder frames = new();
        foreach (DmaPinSegment segment in pin.Segments)
        {
            MemorySource source = segment.Area.Source;
            ulong lead = source.PlacementHint(segment.Offset) % PageSize;
            for (ulong at = 0; at < lead + segment.Length; at += PageSize, address += PageSize)
            {
                ulong offset = at == 0 ? segment.Offset : segment.Offset + at - lead;
                Errno error = frames.TryFind(memory, address, out MemoryFrame behind);
                if (error != Errno.None || frames.TryFind(source, offset, out MemoryFrame pinned) != Errno.None || pinned != behind)
                {
                    return error != Errno.None ? error : Errno.EBADE;
                }
            }
        }

        return Errno.None;
    }

    private static Errno DropPages(IommufdTestCommands commands, IommufdContext context, ref TestCommand command, UserArgument argument)
    {
        Errno error = TryGetAccess(argument, command.Id, out MockAccess? access);
        return error != Errno.None ? error : access!.Unpin(command.Item);
    }

    private static Errno CopyByAccess(IommufdTestCommands commands, IommufdContext context, ref TestCommand command, UserArgument argument)
    {
        CopyArguments copy = command.Copy;
        if (copy.Length > MaximumLength)
        {
            return Errno.ENOMEM;
        }

        Errno error = TryGetAccess(argument, command.Id, out MockAccess? access);
        if (error != Errno.None)
        {
            return error;
        }

        byte[] buffer = new byte[copy.Length];
        if ((copy.Flags & WriteFlag) == 0)
        {
            error = access!.Access.Read(copy.Iova, buffer);
            return error != Errno.None ? error : argument.At(copy.Address).Write(0, buffer);
        }

        error = argument.At(copy.Address).Read(0, buffer);
        return error != Errno.None ? error : access!.Access.Write(copy.Iova, buffer);
    }

    private static Errno TryGetAccess(UserArgument argument, uint descriptor, out MockAccess? access)
    {
        object? file = null;
        _ = argument.Files?.TryGet((int)descriptor, out file);
        access = file as MockAccess;
        return access is null ? Errno.EBADFD : Errno.None;
    }
}

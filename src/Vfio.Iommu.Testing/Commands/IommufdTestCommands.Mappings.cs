using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu.Testing;

public sealed partial class IommufdTestCommands
{
    /// <summary>Each piece of the I/O addresses must be translated to the memory that is behind the caller's addresses.</summary>
    private static Errno CheckMap(IommufdTestCommands commands, IommufdContext context, ref TestCommand command, UserArgument argument)
    {
        CheckMapArguments wanted = command.CheckMap;
        if (((wanted.Iova | wanted.Length | wanted.Address) & (MockIommu.PageSize - 1)) != 0
            || wanted.Iova + wanted.Length < wanted.Iova || wanted.Address + wanted.Length < wanted.Address || argument.Memory is not { } memory)
        {
            return Errno.EINVAL;
        }

        Errno error = TryGetDomain(context, command.Id, out HardwarePageTable? pageTable, out MockDomain? domain);
        if (error != Errno.None)
        {
            return error;
        }

        using FrameFinder frames = new();
        for (ulong offset = 0; offset < wanted.Length && error == Errno.None; offset += MockIommu.PageSize)
        {
            error = frames.TryFind(memory, wanted.Address + offset, out MemoryFrame behind);
            if (error == Errno.None)
            {
                error = Translates(domain!, wanted.Iova + offset, frames, behind, (wanted.Address + offset) % PageSize) ? Errno.None : Errno.EINVAL;
            }
        }

        context.Put(pageTable!);
        return error;
    }

    private static bool Translates(MockDomain domain, ulong iova, FrameFinder frames, MemoryFrame behind, ulong offset)
    {
        if (domain.Enter(iova, DmaAccess.None, out DomainMapping? mapping) != Errno.None)
        {
            return false;
        }

        ulong place = mapping!.SourceOffset(iova);
        bool isSame = frames.TryFind(mapping.Source, place, out MemoryFrame frame) == Errno.None && frame == behind
            && mapping.Source.PlacementHint(place) % PageSize == offset;
        mapping.Exit();
        return isSame;
    }

    /// <summary>Marks what the bits of the caller's bitmap stand for as written by a device, and answers how many there were.</summary>
    private static Errno MarkDirty(IommufdTestCommands commands, IommufdContext context, ref TestCommand command, UserArgument argument)
    {
        DirtyArguments dirty = command.Dirty;
        if (dirty.PageSize == 0 || dirty.Length == 0 || dirty.Iova % dirty.PageSize != 0 || dirty.Length % dirty.PageSize != 0 || dirty.Address == 0)
        {
            return Errno.EINVAL;
        }

        Errno error = TryGetDomain(context, command.Id, out HardwarePageTable? pageTable, out MockDomain? domain);
        if (error != Errno.None)
        {
            return error;
        }

        ulong bits = dirty.Length / dirty.PageSize;
        error = !domain!.Simulated.IsTracking ? Errno.EINVAL : bits > MaximumLength * 8 ? Errno.ENOMEM : Errno.None;
        byte[] bitmap = error == Errno.None ? new byte[(bits + 7) / 8] : [];
        error = error != Errno.None ? error : argument.At(dirty.Address).Read(0, bitmap);
        ulong count = 0;
        for (ulong bit = 0; error == Errno.None && bit < bits; bit++)
        {
            if ((bitmap[bit / 8] & (1 << (int)(bit % 8))) != 0)
            {
                MarkWritten(domain, dirty.Iova + (bit * dirty.PageSize));
                count++;
            }
        }

        context.Put(pageTable!);
        command.Dirty.Count = count;
        return error != Errno.None ? error : Reply(argument, in command);
    }

    private static void MarkWritten(MockDomain domain, ulong iova)
    {
        if (domain.Enter(iova, DmaAccess.None, out DomainMapping? mapping) == Errno.None)
        {
            _ = IovaRange.TryCreate(iova, 1, out IovaRange first);
            domain.MarkWritten(mapping!, first);
            mapping!.Exit();
        }
    }

    private static Errno TryGetDomain(IommufdContext context, uint id, out HardwarePageTable? pageTable, out MockDomain? domain)
    {
        Errno error = context.TryGet(id, out pageTable);
        domain = pageTable?.Domain as MockDomain;
        if (error == Errno.None && domain is null)
        {
            context.Put(pageTable!);
            error = Errno.EINVAL;
        }

        return error;
    }

    /// <summary>Memory of a device that shares it. The answer is the descriptor.</summary>
    private static IoResult CreateBuffer(uint length, UserArgument argument)
    {
        const ulong MaximumBuffer = 2 << 20;
        ulong rounded = (length + PageSize - 1) & ~(PageSize - 1);
        if (rounded is 0 or > MaximumBuffer)
        {
            return Errno.EINVAL;
        }

        if (argument.Files is not { } files)
        {
            return Errno.EMFILE;
        }

        Errno error = MemFd.TryCreate("vfio mock dma-buf", rounded, hugePages: false, out MemFd? memory);
        if (error != Errno.None)
        {
            return error;
        }

        MockDmaBuf buffer = new(memory!);
        IoResult installed = files.Install(buffer);
        if (installed.IsError)
        {
            buffer.Dispose();
        }

        return installed;
    }

    private static Errno RevokeBuffer(IommufdTestCommands commands, IommufdContext context, ref TestCommand command, UserArgument argument)
    {
        object? file = null;
        Errno error = argument.Files?.TryGet(command.Revoke.Descriptor, out file) ?? Errno.EBADF;
        if (error != Errno.None)
        {
            return error;
        }

        if (file is not MockDmaBuf buffer)
        {
            return Errno.EINVAL;
        }

        buffer.Revoke(command.Revoke.IsRevoked != 0);
        return Errno.None;
    }
}

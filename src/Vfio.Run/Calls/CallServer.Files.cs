using System.Buffers;
using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Run;

/// <content>Calls on descriptors of ours.</content>
internal sealed partial class CallServer
{
    private const int MaximumTransfer = 1 << 20;
    private const int MaximumVectors = 1024;
    private const int DuplicateNumber = 0;
    private const int DuplicateCloseOnExec = 1030;
    private const ulong CloseOnExecFlag = 0x80000;

    private IoResult? Ioctl(SupervisedProcess process, in SystemCallNotice call)
    {
        if (process.Find((int)call[0]) is not { } file)
        {
            return null;
        }

        _supervision.TakeClosed();
        uint command = (uint)call[1];

        // Of containers memory may also be a device's that the program has mapped; the check is the core's own for iommufd.
        IUserMemory memory = file.File is VfioContainer ? process.Memory.WithDevices : process.Memory;
        UserArgument argument = new(memory, call[2], _files);
        if (file.Device is { } device)
        {
            if (command == VfioUapi.VFIO_DEVICE_GET_REGION_INFO)
            {
                return RegionInfo(process, file, device, argument, call.Id);
            }
        }
        else if (file.File is VfioGroupFile && command == VfioUapi.VFIO_GROUP_GET_DEVICE_FD)
        {
            _ = CallerText.TryReadPath(memory, call[2], out string name);
            _files.Name = $"anon_inode:[vfio-device] {name.Split(' ')[0]}";
        }
        else if (file.Context is { } context)
        {
            return IommufdIoctl(process, context, file.File, command, argument, call.Id);
        }

        return file.File.Ioctl(command, argument);
    }

    private IoResult IommufdIoctl(SupervisedProcess process, ContextMemory context, VfioFile file, uint command, UserArgument argument, ulong call)
    {
        if (command == IommufdUapi.IOMMU_DESTROY)
        {
            context.ReleaseUnmapped(_supervision.Processes.HasMapped);
        }

        IoResult result = file.Ioctl(command, argument);
        if (command == IommufdUapi.IOMMU_VIOMMU_ALLOC && !result.IsError)
        {
            OfferMemory(process, context, call);
        }

        return result;
    }

    private IoResult? OnFile(SupervisedProcess process, in SystemCallNotice call)
    {
        int number = (int)call[0];
        if (call.Number is SystemCall.Duplicate2 or SystemCall.Duplicate3)
        {
            return DuplicateTo(process, in call);
        }

        if (call.Number == SystemCall.Map)
        {
            // Only without a tracer do maps come here, and then nothing of ours can be mapped.
            return process.Find((int)call[4]) is null ? null : Errno.ENODEV;
        }

        if (process.Find(number) is not { } file)
        {
            return null;
        }

        switch (call.Number)
        {
            case SystemCall.Close:
                process.Forget(number);
                _supervision.NoteClose();
                return null;
            case SystemCall.Read:
                return ReadNext(process, file, call[1], call[2]);
            case SystemCall.Write:
                return WriteNext(process, file, call[1], call[2]);
            case SystemCall.ReadAt:
                return ReadAt(process, file, call[1], call[2], call[3]);
            case SystemCall.WriteAt:
                return WriteAt(process, file, call[1], call[2], call[3]);
            case SystemCall.ReadVector:
            case SystemCall.WriteVector:
            case SystemCall.ReadVectorAt:
            case SystemCall.ReadVectorAt2:
            case SystemCall.WriteVectorAt:
            case SystemCall.WriteVectorAt2:
                return Vectors(process, file, in call);
            case SystemCall.FStat:
                return WriteStatus(process, new DeviceNode(file.Path), file.Path, call[1]);
            case SystemCall.Fcntl when (int)call[1] is DuplicateNumber or DuplicateCloseOnExec:
                return Duplicate(process, number, (int)call[2], (int)call[1] == DuplicateCloseOnExec, call.Id);
            case SystemCall.Duplicate:
                return Duplicate(process, number, 0, closeOnExec: false, call.Id);
            case SystemCall.Seek:
                return Errno.ESPIPE;
            case SystemCall.Truncate:
                return Errno.EINVAL;
            case SystemCall.Allocate:
                return Errno.ENODEV;
            default:
                return null;
        }
    }

    /// <summary>A duplicate whose number is one of ours, wherever the kernel would have put it.</summary>
    private IoResult Duplicate(SupervisedProcess process, int number, int least, bool closeOnExec, ulong call)
    {
        int free = process.FindFreeNumber(_range, least);
        if (free < 0)
        {
            return Errno.EMFILE;
        }

        Errno error = process.Descriptor.TryGetFile(number, out FileDescriptor? file);
        if (error != Errno.None)
        {
            return error;
        }

        using (file)
        {
            return _listener.TryGive(call, file!, free, closeOnExec);
        }
    }

    /// <summary>The program chooses the number. Outside of ours only ioctls of the duplicate come here.</summary>
    private IoResult? DuplicateTo(SupervisedProcess process, in SystemCallNotice call)
    {
        process.Forget((int)call[1]);
        _supervision.NoteClose();
        if (process.Find((int)call[0]) is not { } || _range.Contains((int)call[1]))
        {
            return null;
        }

        _supervision.WarnOfDuplicate((int)call[1]);
        return null;
    }

    private IoResult ReadNext(SupervisedProcess process, OpenFile file, ulong address, ulong length)
    {
        IoResult result = ReadAt(process, file, address, length, file.Position);
        Advance(file, result);
        return result;
    }

    private IoResult WriteNext(SupervisedProcess process, OpenFile file, ulong address, ulong length)
    {
        IoResult result = WriteAt(process, file, address, length, file.Position);
        Advance(file, result);
        return result;
    }

    private static void Advance(OpenFile file, IoResult result)
    {
        if (!result.IsError && file.File.HasPosition)
        {
            file.Position += (ulong)result.Value;
        }
    }

    private static IoResult ReadAt(SupervisedProcess process, OpenFile file, ulong address, ulong length, ulong position)
    {
        int count = (int)Math.Min(length, MaximumTransfer);
        byte[]? rented = count > 256 ? ArrayPool<byte>.Shared.Rent(count) : null;
        Span<byte> buffer = rented is null ? stackalloc byte[256] : rented;
        IoResult result = file.File.Read(buffer[..count], position);
        file.Readiness?.Update();
        if (!result.IsError)
        {
            Errno error = result.Count == 0 ? Errno.None : process.Memory.Write(address, buffer[..result.Count]);
            result = error != Errno.None ? error : result;
        }

        Return(rented);
        return result;
    }

    private static IoResult WriteAt(SupervisedProcess process, OpenFile file, ulong address, ulong length, ulong position)
    {
        int count = (int)Math.Min(length, MaximumTransfer);
        byte[]? rented = count > 256 ? ArrayPool<byte>.Shared.Rent(count) : null;
        Span<byte> buffer = rented is null ? stackalloc byte[256] : rented;
        Errno error = process.Memory.Read(address, buffer[..count]);
        IoResult result = error != Errno.None ? error : file.File.Write(buffer[..count], position);
        Return(rented);
        return result;
    }

    private static void Return(byte[]? rented)
    {
        if (rented is not null)
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    /// <summary>The pieces of a vector one after the other, as a file without vectors of its own has them.</summary>
    private IoResult Vectors(SupervisedProcess process, OpenFile file, in SystemCallNotice call)
    {
        const int VectorSize = 16;
        bool reads = call.Number is SystemCall.ReadVector or SystemCall.ReadVectorAt or SystemCall.ReadVectorAt2;
        bool isPlaced = call.Number is not (SystemCall.ReadVector or SystemCall.WriteVector) && call[3] != ulong.MaxValue;
        ulong position = isPlaced ? call[3] : file.Position;
        if (call[2] > MaximumVectors)
        {
            return Errno.EINVAL;
        }

        byte[] vectors = new byte[call[2] * VectorSize];
        Errno error = vectors.Length == 0 ? Errno.None : process.Memory.Read(call[1], vectors);
        if (error != Errno.None)
        {
            return error;
        }

        long done = 0;
        for (int at = 0; at < vectors.Length; at += VectorSize)
        {
            ulong address = BinaryPrimitives.ReadUInt64LittleEndian(vectors.AsSpan(at));
            ulong length = BinaryPrimitives.ReadUInt64LittleEndian(vectors.AsSpan(at + 8));
            if (length == 0)
            {
                continue;
            }

            IoResult result = reads ? ReadAt(process, file, address, length, position) : WriteAt(process, file, address, length, position);
            if (result.IsError)
            {
                return done > 0 ? IoResult.Success(done) : result;
            }

            done += result.Value;
            position += file.File.HasPosition ? (ulong)result.Value : 0;
            if ((ulong)result.Value < length)
            {
                break;
            }
        }

        file.Position = isPlaced ? file.Position : position;
        return IoResult.Success(done);
    }
}

using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.User;

internal sealed partial class ServerConnection
{
    private void DeviceGetIrqInfo(ReadOnlySpan<byte> payload)
    {
        if (!TryRead(payload, out vfio_irq_info info) || info.argsz < Marshal.SizeOf<vfio_irq_info>() || info.index >= PciLayout.InterruptCount)
        {
            ReplyError(Errno.EINVAL);
            return;
        }

        Errno error = _file!.GetIrqInfo(info.index, out IrqInfo irq);
        if (error != Errno.None)
        {
            ReplyError(error);
            return;
        }

        info.argsz = (uint)Marshal.SizeOf<vfio_irq_info>();
        info.flags = (uint)irq.Flags;
        info.count = irq.Count;
        Reply(MemoryMarshal.AsBytes(new ReadOnlySpan<vfio_irq_info>(in info)));
    }

    private Errno DeviceSetIrqs(ReadOnlySpan<byte> payload)
    {
        const int Size = 20;
        if (payload.Length < Size)
        {
            return Errno.EINVAL;
        }

        uint argsz = BinaryPrimitives.ReadUInt32LittleEndian(payload);
        IrqSetFlags flags = (IrqSetFlags)BinaryPrimitives.ReadUInt32LittleEndian(payload[4..]) & (IrqSetFlags.DataMask | IrqSetFlags.ActionMaskAll);
        uint index = BinaryPrimitives.ReadUInt32LittleEndian(payload[8..]);
        uint start = BinaryPrimitives.ReadUInt32LittleEndian(payload[12..]);
        uint count = BinaryPrimitives.ReadUInt32LittleEndian(payload[16..]);
        IrqSetFlags data = flags & IrqSetFlags.DataMask;
        IrqSetFlags action = flags & IrqSetFlags.ActionMaskAll;
        if (argsz < Size
            || index >= PciLayout.InterruptCount
            || !uint.IsPow2((uint)data)
            || !uint.IsPow2((uint)action)
            || (_descriptors.Count != 0 && (data != IrqSetFlags.DataEventFd || (uint)_descriptors.Count != count)))
        {
            return Errno.EINVAL;
        }

        if (count == 0)
        {
            // Disabling what is off, or does not exist, is no error on the wire.
            bool disable = action == IrqSetFlags.ActionTrigger && data == IrqSetFlags.DataNone && start == 0;
            if (disable)
            {
                _ = _file!.SetIrqs(index, flags, 0, 0, [], null);
            }

            return disable ? Errno.None : Errno.EINVAL;
        }

        Errno error = _file!.GetIrqInfo(index, out IrqInfo irq);
        if (error != Errno.None)
        {
            return error;
        }

        bool notification = (PciInterrupt)index is PciInterrupt.Error or PciInterrupt.Request;
        if (start >= irq.Count || count > irq.Count - start || (notification && action != IrqSetFlags.ActionTrigger))
        {
            return Errno.EINVAL;
        }

        switch (data)
        {
            case IrqSetFlags.DataBool when (uint)(payload.Length - Size) != count:
                return Errno.EINVAL;
            case IrqSetFlags.DataEventFd:
                return SetEventFds(index, action, start, count);
            default:
                IoResult result = _file.SetIrqs(index, flags, start, count, payload[Size..], null);
                return result.Error;
        }
    }

    private Errno SetEventFds(uint index, IrqSetFlags action, uint start, uint count)
    {
        // No descriptors at all takes the eventfds of the range away.
        FileDescriptor?[] eventFds = new FileDescriptor?[count];
        for (int i = 0; i < _descriptors.Count; i++)
        {
            eventFds[i] = _descriptors[i];
        }

        IoResult result = _file!.SetIrqEventFds(index, action, start, eventFds);
        return result.IsError ? result.Error : result.Value > 0 ? Errno.ENOSPC : Errno.None;
    }
}

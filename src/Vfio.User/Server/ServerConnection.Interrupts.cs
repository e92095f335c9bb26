using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.User;

internal sealed partial class ServerConnection
{
    private FileDescriptor? _intxTrigger;
    private FileDescriptor? _intxUnmask;
    private PciInterrupt? _messages;

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
            if (action != IrqSetFlags.ActionTrigger || data != IrqSetFlags.DataNone || start != 0)
            {
                return Errno.EINVAL;
            }

            Disable((PciInterrupt)index);
            return Errno.None;
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
                if ((PciInterrupt)index == PciInterrupt.Intx && IsIntxSuspended)
                {
                    return Errno.None;
                }

                IoResult result = _file.SetIrqs(index, flags, start, count, payload[Size..], null);
                return result.Error;
        }
    }

    /// <summary>Turns a kind of interrupt off. The pin comes back when messages go.</summary>
    private void Disable(PciInterrupt index)
    {
        bool suspended = IsIntxSuspended;
        if (index == PciInterrupt.Intx)
        {
            ForgetIntx();
        }

        if (index != PciInterrupt.Intx || !suspended)
        {
            _ = _file!.SetIrqs((uint)index, IrqSetFlags.ActionTrigger, 0, 0);
        }

        if (_messages == index)
        {
            _messages = null;
            ResumeIntx();
        }
    }

    private Errno SetEventFds(uint index, IrqSetFlags action, uint start, uint count)
    {
        switch ((PciInterrupt)index)
        {
            case PciInterrupt.Intx when action is IrqSetFlags.ActionTrigger or IrqSetFlags.ActionUnmask:
                return SetIntxEventFd(action);
            case PciInterrupt.Msi or PciInterrupt.Msix when action == IrqSetFlags.ActionTrigger:
                bool suspend = _messages is null && _intxTrigger is not null;
                if (suspend)
                {
                    _ = _file!.SetIrqs((uint)PciInterrupt.Intx, IrqSetFlags.ActionTrigger, 0, 0);
                }

                Errno error = PassEventFds(index, action, start, count);
                if (error == Errno.None)
                {
                    _messages = (PciInterrupt)index;
                }
                else if (suspend)
                {
                    ResumeIntx();
                }

                return error;
            default:
                return PassEventFds(index, action, start, count);
        }
    }

    private Errno PassEventFds(uint index, IrqSetFlags action, uint start, uint count)
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

    // On the wire each kind of interrupt is set up by itself, while the core, as the kernel, has one of INTx, MSI and MSI-X on at a
    // time. The eventfds of the pin are kept here, so that messages can take its place, as they do in hardware, and give it back.
    private bool IsIntxSuspended => _messages is not null;

    private Errno SetIntxEventFd(IrqSetFlags action)
    {
        bool trigger = action == IrqSetFlags.ActionTrigger;
        FileDescriptor? given = _descriptors.Count > 0 ? _descriptors[0] : null;
        if (IsIntxSuspended)
        {
            if (given is not null && !given.IsEventFd())
            {
                return Errno.EINVAL;
            }
        }
        else
        {
            Errno error = PassEventFds((uint)PciInterrupt.Intx, action, 0, 1);
            if (error != Errno.None)
            {
                return error;
            }
        }

        ref FileDescriptor? place = ref trigger ? ref _intxTrigger : ref _intxUnmask;
        place?.Dispose();
        place = given is null ? null : _descriptors.Take(0);
        return Errno.None;
    }

    private void ForgetIntx()
    {
        _intxTrigger?.Dispose();
        _intxTrigger = null;
        _intxUnmask?.Dispose();
        _intxUnmask = null;
    }

    private void ResumeIntx()
    {
        if (_intxTrigger is not null)
        {
            _ = _file!.SetIrqEventFds((uint)PciInterrupt.Intx, IrqSetFlags.ActionTrigger, 0, [_intxTrigger]);
        }

        if (_intxUnmask is not null)
        {
            _ = _file!.SetIrqEventFds((uint)PciInterrupt.Intx, IrqSetFlags.ActionUnmask, 0, [_intxUnmask]);
        }
    }
}

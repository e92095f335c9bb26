using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Pci;

/// <content>SET_IRQS (spec vfio-core §5.10; <c>vfio_set_irqs_validate_and_prepare</c>, <c>vfio_pci_set_irqs_ioctl</c>).</content>
public sealed partial class PciInterrupts
{
    private const int NoEventFd = -1;

    /// <summary>Edge-triggered: a ring is noticed without reading the counter, which a peer could make us wait for (ADR 0102).</summary>
    private const EventLoopEvents EdgeTriggeredRead = EventLoopEvents.Read | unchecked((EventLoopEvents)(1U << 31));

    private readonly DeferredCall _unmaskCall;
    private EventFd? _unmask;
    private IDisposable? _unmaskRegistration;

    /// <summary>Executes SET_IRQS.</summary>
    /// <param name="argument">The caller's <c>vfio_irq_set</c> and what follows it.</param>
    /// <param name="loop">The loop that waits for unmask eventfds.</param>
    /// <returns>0; the number of vectors that could be had, when fewer than asked; or an errno.</returns>
    internal IoResult SetIrqs(UserArgument argument, EventLoop loop)
    {
        Span<uint> counts = stackalloc uint[(int)PciLayout.InterruptCount];
        for (int i = 0; i < counts.Length; i++)
        {
            counts[i] = Count((PciInterrupt)i);
        }

        Errno error = IrqSetRequest.TryRead(argument, counts, out IrqSetRequest request);
        if (error != Errno.None)
        {
            return error;
        }

        // At most 2048 vectors: the count was checked against the device's.
        int start = (int)request.Start;
        IrqSetFlags data = request.Data;
        Span<int> values = stackalloc int[(int)request.Count];
        error = request.ReadData(argument, values);
        if (error != Errno.None)
        {
            return error;
        }

        lock (_lock)
        {
            return ((PciInterrupt)request.Index, request.Action) switch
            {
                (PciInterrupt.Intx, IrqSetFlags.ActionTrigger) => TriggerIntx(data, values, argument.Files),
                (PciInterrupt.Intx, IrqSetFlags.ActionMask) => MaskIntx(data, values),
                (PciInterrupt.Intx, IrqSetFlags.ActionUnmask) => UnmaskIntx(data, values, argument.Files, loop),
                (PciInterrupt.Msi, IrqSetFlags.ActionTrigger) => TriggerMessages(InterruptMode.Msi, _msi, data, start, values, argument.Files),
                (PciInterrupt.Msix, IrqSetFlags.ActionTrigger) => TriggerMessages(InterruptMode.Msix, _msix, data, start, values, argument.Files),
                (PciInterrupt.Error, IrqSetFlags.ActionTrigger) => TriggerNotice(ref _error, data, values, argument.Files),
                (PciInterrupt.Request, IrqSetFlags.ActionTrigger) => TriggerNotice(ref _request, data, values, argument.Files),
                _ => Errno.ENOTTY,
            };
        }
    }

    /// <summary>Gets an eventfd of our own from a number of the caller's.</summary>
    internal static Errno TakeEventFd(int number, FileTable? files, out EventFd? eventFd)
    {
        eventFd = null;
        if (number < 0 || files is null || files.TryGet(number, out object? file) != Errno.None)
        {
            return Errno.EBADF;
        }

        if (file is not FileDescriptor descriptor)
        {
            return Errno.EINVAL;
        }

        Errno error = descriptor.TryDuplicate(out FileDescriptor? duplicate);
        if (error == Errno.None)
        {
            error = EventFd.TryAdopt(duplicate!, out eventFd);
            if (error != Errno.None)
            {
                duplicate!.Dispose();
            }
        }

        return error;
    }

    private static void Replace(ref EventFd? place, EventFd? eventFd)
    {
        place?.Dispose();
        place = eventFd;
    }

    private static IoResult TriggerNotice(ref EventFd? place, IrqSetFlags data, ReadOnlySpan<int> values, FileTable? files)
    {
        switch (data)
        {
            case IrqSetFlags.DataNone when place is null:
                return Errno.EINVAL;
            case IrqSetFlags.DataNone when values.IsEmpty:
                Replace(ref place, null);
                return IoResult.Success();
            case IrqSetFlags.DataNone:
                _ = place.Signal();
                return IoResult.Success();
        }

        if (values.IsEmpty)
        {
            return Errno.EINVAL;
        }

        if (data == IrqSetFlags.DataBool)
        {
            if (values[0] != 0)
            {
                _ = place?.Signal();
            }

            return IoResult.Success();
        }

        if (values[0] == NoEventFd)
        {
            Replace(ref place, null);
            return IoResult.Success();
        }

        if (values[0] < 0)
        {
            return Errno.EINVAL;
        }

        Errno error = TakeEventFd(values[0], files, out EventFd? eventFd);
        if (error == Errno.None)
        {
            Replace(ref place, eventFd);
        }

        return error;
    }

    private IoResult TriggerIntx(IrqSetFlags data, ReadOnlySpan<int> values, FileTable? files)
    {
        bool isOn = _mode == InterruptMode.Intx;
        if (values.IsEmpty)
        {
            if (!isOn || data != IrqSetFlags.DataNone)
            {
                return Errno.EINVAL;
            }

            DisableIntx();
            _mode = InterruptMode.None;
            return IoResult.Success();
        }

        if (data != IrqSetFlags.DataEventFd)
        {
            if (!isOn)
            {
                return Errno.EINVAL;
            }

            if (values[0] != 0 && !_pinDisabled)
            {
                _ = _intx?.Signal();
            }

            return IoResult.Success();
        }

        if (_mode is not (InterruptMode.None or InterruptMode.Intx))
        {
            return Errno.EINVAL;
        }

        EventFd? eventFd = null;
        if (values[0] >= 0)
        {
            Errno error = TakeEventFd(values[0], files, out eventFd);
            if (error != Errno.None)
            {
                return error;
            }
        }

        Replace(ref _intx, eventFd);
        if (!isOn)
        {
            _mode = InterruptMode.Intx;
            _intxMasked = false;
        }

        DeliverIntx();
        return IoResult.Success();
    }

    private IoResult MaskIntx(IrqSetFlags data, ReadOnlySpan<int> values)
    {
        if (_mode != InterruptMode.Intx || values.Length != 1)
        {
            return Errno.EINVAL;
        }

        if (data == IrqSetFlags.DataEventFd)
        {
            return Errno.ENOTTY;
        }

        _intxMasked |= values[0] != 0;
        return IoResult.Success();
    }

    private IoResult UnmaskIntx(IrqSetFlags data, ReadOnlySpan<int> values, FileTable? files, EventLoop loop)
    {
        if (_mode != InterruptMode.Intx || values.Length != 1)
        {
            return Errno.EINVAL;
        }

        if (data != IrqSetFlags.DataEventFd)
        {
            if (values[0] != 0)
            {
                _intxMasked = false;
                DeliverIntx();
            }

            return IoResult.Success();
        }

        if (values[0] < 0)
        {
            DetachUnmask();
            return IoResult.Success();
        }

        Errno error = TakeEventFd(values[0], files, out EventFd? eventFd);
        if (error == Errno.None && _unmask is not null)
        {
            eventFd!.Dispose();
            error = Errno.EBUSY;
        }

        if (error != Errno.None)
        {
            return error;
        }

        // An eventfd that is signalled already is reported at once.
        error = loop.TryRegister(eventFd!.Descriptor, EdgeTriggeredRead, _ => _unmaskCall.Post(), out _unmaskRegistration);
        if (error != Errno.None)
        {
            eventFd.Dispose();
            return error;
        }

        _unmask = eventFd;
        return IoResult.Success();
    }

    /// <summary>The unmask eventfd was signalled.</summary>
    private void Unmask()
    {
        lock (_lock)
        {
            if (_unmask is not null)
            {
                _intxMasked = false;
                DeliverIntx();
            }
        }
    }

    private IoResult TriggerMessages(InterruptMode mode, EventFd?[] vectors, IrqSetFlags data, int start, ReadOnlySpan<int> values, FileTable? files)
    {
        bool isOn = _mode == mode;
        if (data == IrqSetFlags.DataNone && values.IsEmpty)
        {
            if (!isOn)
            {
                return Errno.EINVAL;
            }

            DisableMode(mode);
            return IoResult.Success();
        }

        if (data == IrqSetFlags.DataEventFd)
        {
            return SetMessages(mode, vectors, isOn, start, values, files);
        }

        if (!isOn)
        {
            return Errno.EINVAL;
        }

        for (int i = 0; i < values.Length; i++)
        {
            if (values[i] != 0)
            {
                _ = vectors[start + i]?.Signal();
            }
        }

        return IoResult.Success();
    }

    private IoResult SetMessages(InterruptMode mode, EventFd?[] vectors, bool isOn, int start, ReadOnlySpan<int> values, FileTable? files)
    {
        if (_mode != InterruptMode.None && !isOn)
        {
            return Errno.EINVAL;
        }

        int wanted = start + values.Length;
        if (!isOn)
        {
            if (wanted == 0)
            {
                return Errno.ERANGE;
            }

            if (VectorLimit is { } limit && limit < wanted)
            {
                return IoResult.Success(limit);
            }

            _mode = mode;
            _enabledVectors = wanted;
            SetCapabilityEnable(mode, enable: true);
        }
        else if (wanted > _enabledVectors && !values.IsEmpty)
        {
            // The kernel refuses this for MSI. Users whose messages carry few descriptors set vectors in several requests.
            _enabledVectors = wanted;
        }

        for (int i = 0; i < values.Length; i++)
        {
            EventFd? eventFd = null;
            Errno error = values[i] < 0 ? Errno.None : TakeEventFd(values[i], files, out eventFd);
            if (error != Errno.None)
            {
                for (int k = 0; k < values.Length; k++)
                {
                    Replace(ref vectors[start + k], null);
                }

                if (!isOn)
                {
                    DisableMode(mode);
                }

                return error;
            }

            Replace(ref vectors[start + i], eventFd);
        }

        DeliverPending();
        return IoResult.Success();
    }

    private void DisableMode(InterruptMode mode)
    {
        DisableMessages(mode == InterruptMode.Msi ? _msi : _msix);
        _mode = InterruptMode.None;
        _enabledVectors = 0;
        SetCapabilityEnable(mode, enable: false);
        if (mode == InterruptMode.Msi)
        {
            _msiPending = 0;
            UpdateMsiPending();
        }
        else
        {
            Array.Clear(_msixPending);
        }
    }

    /// <summary>As the kernel's <c>pci_alloc_irq_vectors</c>: whoever enables vectors through SET_IRQS finds the enable bit set.</summary>
    private void SetCapabilityEnable(InterruptMode mode, bool enable)
    {
        if (mode == InterruptMode.Msi)
        {
            _config.Update(_msiLayout!.Offset + 2, 1, enable ? 1U : 0);
        }
        else
        {
            _config.Update(_msixLayout!.Offset + 2, 0x8000, enable ? 0x8000U : 0);
        }

        LoadConfig();
    }

    private void DisableIntx()
    {
        DetachUnmask();
        Replace(ref _intx, null);
        _intxMasked = false;
        _pulse = false;
    }

    private void DetachUnmask()
    {
        _unmaskRegistration?.Dispose();
        _unmaskRegistration = null;
        Replace(ref _unmask, null);
    }

    private static void DisableMessages(EventFd?[] vectors)
    {
        for (int i = 0; i < vectors.Length; i++)
        {
            Replace(ref vectors[i], null);
        }
    }
}

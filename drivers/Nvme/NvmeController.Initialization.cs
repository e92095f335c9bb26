using Vfio.Abi;

namespace Vfio.Drivers.Nvme;

/// <content>Bringing the controller up and down (Base 2.0 §3.5, §3.6).</content>
public sealed partial class NvmeController
{
    private const uint ClassNvme = 0x010802;
    private static readonly TimeSpan s_minimumReadyTime = TimeSpan.FromSeconds(1);
    private bool _isStuck;

    private TimeSpan ReadyTime => Capabilities.Timeout > s_minimumReadyTime ? Capabilities.Timeout : s_minimumReadyTime;

    private async Task StartAsync(CancellationToken cancellationToken)
    {
        uint classCode = _connection.Pci.ClassCode;
        if (classCode != ClassNvme)
        {
            throw Refusal(Errno.ENODEV, $"Its class is {classCode:x6}; that of an NVM Express I/O controller is {ClassNvme:x6}.");
        }

        // Memory decoding for the registers, bus mastering for everything else.
        _connection.Pci.Enable(PciCommand.MemorySpace | PciCommand.BusMaster);
        _registers = new ControllerRegisters(_connection);
        Capabilities = new ControllerCapabilities(_registers.Read64(ControllerRegister.Capabilities));
        CheckCapabilities();
        Version = NvmeControllerIdentity.ParseVersion(_registers.Read32(ControllerRegister.Version));
        _pageShift = Capabilities.MinimumPageShift;
        _doorbells = new Doorbells(_registers, Capabilities.DoorbellStride);
        if (_doorbells.MaximumQueues < 2)
        {
            throw Refusal(Errno.EPROTO, $"BAR 0 has {_registers.Size} bytes, in which the doorbells of an I/O queue have no room.");
        }

        int wanted = Math.Min(_options.QueueCount ?? Math.Min(Environment.ProcessorCount, DefaultQueueLimit), _doorbells.MaximumQueues - 1);
        QueueDepth = Math.Min(_options.QueueDepth, Capabilities.MaximumQueueEntries);

        _adminBuffer = _connection.AllocateDma((nuint)(2 << _pageShift) - 4096);
        _queues = [new QueuePair(this, _connection, _doorbells, 0, AdminDepth, 0, _pageShift)];
        StartCompletions(wanted);
        _queues[0].Vector = VectorOf(0);
        StartWatchdog();
        _closed = _connection.ConnectionClosed.UnsafeRegister(static state => ((IQueueOwner)state!).DeviceLost(Errno.ENOTCONN), this);
        await DisableAsync(cancellationToken).ConfigureAwait(false);
        await EnableAsync(cancellationToken).ConfigureAwait(false);

        Identity = NvmeControllerIdentity.Parse(await IdentifyAsync(IdentifyStructure.Controller, 0).ConfigureAwait(false));
        ApplyLimits();
        int granted = await RequestQueuesAsync(wanted).ConfigureAwait(false);
        int pages = MaximumTransfer >> _pageShift;
        List<QueuePair> queues = [_queues[0]];
        try
        {
            for (int i = 1; i <= Math.Min(wanted, granted); i++)
            {
                queues.Add(new QueuePair(this, _connection, _doorbells, (ushort)i, QueueDepth, pages, _pageShift)
                {
                    UsesSgl = UsesSgl,
                    AlwaysSgl = _options.DataPointer == NvmeDataPointer.Sgl,
                });
            }
        }
        finally
        {
            // From here on they are disposed with the controller.
            _queues = [.. queues];
        }

        await CreateQueuesAsync(cancellationToken).ConfigureAwait(false);
        await FindNamespacesAsync(cancellationToken).ConfigureAwait(false);
        lock (_stateLock)
        {
            _state = NvmeControllerState.Live;
        }

        NvmeLog.Opened(_options.Logger, Address, QueueCount, QueueDepth, InterruptKind?.ToString() ?? "polling", MaximumTransfer);
    }

    private void CheckCapabilities()
    {
        if (Capabilities.Value == ulong.MaxValue)
        {
            throw Refusal(Errno.ENODEV, "Its registers read all ones: it does not answer.");
        }

        if (!Capabilities.SupportsNvmCommandSet && !Capabilities.SupportsCommandSets)
        {
            throw Refusal(Errno.EOPNOTSUPP, Capabilities.SupportsAdminOnly ? "It has no I/O commands (CAP.CSS): it is an administrative controller." : "It does not have the NVM command set (CAP.CSS).");
        }

        if (Capabilities.MaximumQueueEntries < 2)
        {
            throw Refusal(Errno.EPROTO, "It claims queues of one entry (CAP.MQES = 0); a queue has two at least.");
        }

        if (Capabilities.MinimumPageShift > MaximumPageShift || Capabilities.MinimumPageShift > Capabilities.MaximumPageShift)
        {
            throw Refusal(Errno.EOPNOTSUPP, $"Its memory pages have 2^{Capabilities.MinimumPageShift} to 2^{Capabilities.MaximumPageShift} bytes; up to 2^{MaximumPageShift} are supported.");
        }
    }

    private void ApplyLimits()
    {
        if (!Identity.TakesStandardEntries)
        {
            throw Refusal(Errno.EPROTO, $"Its queue entry sizes (SQES {Identity.SubmissionEntrySizes:X2}h, CQES {Identity.CompletionEntrySizes:X2}h) leave out the 64 and 16 bytes that every controller takes.");
        }

        // MDTS counts in the smallest page, so that 20 and more are beyond all that is sent.
        int transfer = Math.Min(_options.MaximumTransfer, 1 << (2 * _pageShift - 3 > 21 ? 21 : 2 * _pageShift - 3));
        if (Identity.MaximumDataTransferSize is > 0 and < 20)
        {
            transfer = (int)Math.Min(transfer, 1L << (Identity.MaximumDataTransferSize + Capabilities.MinimumPageShift));
        }

        MaximumTransfer = Math.Max(transfer, 1 << _pageShift);
        if (_options.DataPointer == NvmeDataPointer.Sgl && !Identity.SupportsSgl)
        {
            throw Refusal(Errno.EOPNOTSUPP, $"It does not take SGLs (SGLS {Identity.SglSupport:x8}h), which the options ask for.");
        }

        UsesSgl = Identity.SupportsSgl && _options.DataPointer != NvmeDataPointer.Prp;
    }

    /// <summary>Clears CC.EN and waits for CSTS.RDY to follow; when it does not, resets the function.</summary>
    private async Task DisableAsync(CancellationToken cancellationToken)
    {
        ControllerRegisters registers = _registers!;
        uint configuration = registers.Read32(ControllerRegister.Configuration);
        if (configuration == ControllerRegister.Gone)
        {
            throw Refusal(Errno.ENODEV, "Its registers read all ones: it does not answer.");
        }

        _ = registers.Write32(ControllerRegister.Configuration, configuration & ~(ControllerRegister.ConfigurationEnable | ControllerRegister.ConfigurationShutdownMask));
        if (await WaitForStatusAsync(ControllerRegister.StatusReady, 0, ReadyTime, acceptFatal: true, cancellationToken).ConfigureAwait(false))
        {
            return;
        }

        if (!TryResetFunction()
            || !await WaitForStatusAsync(ControllerRegister.StatusReady, 0, ReadyTime, acceptFatal: true, cancellationToken).ConfigureAwait(false))
        {
            // Not waited for again when it is let go.
            _isStuck = true;
            throw Refusal(Errno.ETIMEDOUT, $"It was disabled (CC.EN = 0) and stayed ready for {ReadyTime.TotalSeconds} s (CSTS {registers.Read32(ControllerRegister.Status):x8}h), also after a reset of the function.");
        }

        _connection.Pci.Enable(PciCommand.MemorySpace | PciCommand.BusMaster);
    }

    /// <summary>Resets the function, with bus mastering off before, so that no DMA of before comes after.</summary>
    private bool TryResetFunction()
    {
        if ((_connection.Info.Flags & DeviceFlags.Reset) == 0)
        {
            return false;
        }

        try
        {
            _connection.Reset();
            return true;
        }
        catch (VfioException)
        {
            return false;
        }
    }

    /// <summary>Gives a disabled controller its admin queue, sets CC.EN and waits for CSTS.RDY.</summary>
    private async Task EnableAsync(CancellationToken cancellationToken)
    {
        ControllerRegisters registers = _registers!;
        QueuePair admin = _queues[0];
        _ = registers.Write32(ControllerRegister.AdminQueueAttributes, (uint)((admin.Depth - 1) << 16 | (admin.Depth - 1)));
        registers.Write64(ControllerRegister.AdminSubmissionQueue, admin.SubmissionIova);
        registers.Write64(ControllerRegister.AdminCompletionQueue, admin.CompletionIova);
        uint commandSet = Capabilities.SupportsNvmCommandSet ? 0u : 6u;
        uint configuration = commandSet << ControllerRegister.ConfigurationCommandSetShift
            | (uint)(_pageShift - 12) << ControllerRegister.ConfigurationPageSizeShift
            | 6u << ControllerRegister.ConfigurationSubmissionEntryShift
            | 4u << ControllerRegister.ConfigurationCompletionEntryShift;

        // All but EN first: the others may not change while it is set.
        _ = registers.Write32(ControllerRegister.Configuration, configuration);
        _ = registers.Write32(ControllerRegister.Configuration, configuration | ControllerRegister.ConfigurationEnable);
        if (!await WaitForStatusAsync(ControllerRegister.StatusReady, ControllerRegister.StatusReady, ReadyTime, acceptFatal: false, cancellationToken).ConfigureAwait(false))
        {
            throw Refusal(Errno.ETIMEDOUT, $"It was enabled and not ready within {ReadyTime.TotalSeconds} s (CSTS {registers.Read32(ControllerRegister.Status):x8}h).");
        }
    }

    /// <summary>Waits until bits of CSTS have a value.</summary>
    /// <returns>False when the time is over.</returns>
    private async Task<bool> WaitForStatusAsync(uint mask, uint value, TimeSpan limit, bool acceptFatal, CancellationToken cancellationToken)
    {
        long started = _options.TimeProvider.GetTimestamp();
        for (int wait = 1; ; wait = Math.Min(wait * 2, 20))
        {
            // The time first: the status is looked at once more after the last wait.
            bool over = _options.TimeProvider.GetElapsedTime(started) >= limit;
            uint status = _registers!.Read32(ControllerRegister.Status);
            if (status == ControllerRegister.Gone)
            {
                throw Refusal(Errno.ENODEV, "Its registers read all ones: it does not answer.");
            }

            if (!acceptFatal && (status & ControllerRegister.StatusFatal) != 0)
            {
                throw Refusal(Errno.EIO, $"It reports a fatal status (CSTS.CFS; CSTS {status:x8}h).");
            }

            if ((status & mask) == value)
            {
                return true;
            }

            if (over)
            {
                return false;
            }

            await Task.Delay(TimeSpan.FromMilliseconds(wait), _options.TimeProvider, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>The normal shutdown (Base 2.0 §3.6.1): no commands, no queues, CC.SHN.</summary>
    private async Task ShutDownAsync()
    {
        long started = _options.TimeProvider.GetTimestamp();
        while (_queues.Any(static queue => !queue.IsIdle) && _options.TimeProvider.GetElapsedTime(started) < _options.ShutdownTimeout)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(1), _options.TimeProvider).ConfigureAwait(false);
        }

        if (_queues.All(static queue => queue.IsIdle))
        {
            await DeleteQueuesAsync().ConfigureAwait(false);
        }

        try
        {
            ControllerRegisters registers = _registers!;
            uint configuration = registers.Read32(ControllerRegister.Configuration);
            if (configuration != ControllerRegister.Gone)
            {
                TimeSpan limit = Identity.ShutdownLatency > _options.ShutdownTimeout ? Identity.ShutdownLatency : _options.ShutdownTimeout;
                limit = limit > TimeSpan.FromMinutes(1) ? TimeSpan.FromMinutes(1) : limit;
                _ = registers.Write32(ControllerRegister.Configuration, (configuration & ~ControllerRegister.ConfigurationShutdownMask) | ControllerRegister.ConfigurationShutdownNormal);
                _ = await WaitForStatusAsync(
                    ControllerRegister.StatusShutdownMask, ControllerRegister.StatusShutdownComplete, limit, acceptFatal: true, CancellationToken.None).ConfigureAwait(false);
            }
        }
        catch (VfioException)
        {
            // It has gone meanwhile.
        }

        await TryStopAsync().ConfigureAwait(false);
    }

    /// <summary>Makes sure that the device does not touch memory any more: disables it, and failing that takes away bus mastering.</summary>
    private async Task TryStopAsync()
    {
        try
        {
            if (!_isStuck)
            {
                await DisableAsync(CancellationToken.None).ConfigureAwait(false);
                return;
            }
        }
        catch (VfioException)
        {
            // It has gone, or does not obey.
        }

        DisableBusMaster();
    }

    private void DisableBusMaster()
    {
        Span<byte> command = stackalloc byte[sizeof(ushort)];
        if (_connection.TryRead((uint)PciRegion.Config, PciRegister.Command, command) == Errno.None)
        {
            command[0] = (byte)(command[0] & ~(int)PciCommand.BusMaster);
            _ = _connection.TryWrite((uint)PciRegion.Config, PciRegister.Command, command);
        }
    }
}

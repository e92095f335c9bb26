namespace Vfio.Devices.Dsa;

/// <summary>Carries out commands. One that has to wait for descriptors under way stays active until the last of them has ended.</summary>
/// <remarks>Members are called with the device's state lock held.</remarks>
internal sealed class CommandUnit(DsaDevice device, DsaRegisters registers, WorkQueue[] queues)
{
    private const int QueueMaskBits = 16;
    private DsaCommand _waiting;
    private uint _waitedFor;
    private bool _interrupts;

    /// <summary>The register was written.</summary>
    public void Begin(DsaCommand command, uint operand, bool interrupts)
    {
        if (registers.CommandIsActive)
        {
            // Only one at a time; what comes too early is lost.
            return;
        }

        _interrupts = interrupts;
        registers.CommandStatus = 0;
        CommandStatus status = command switch
        {
            DsaCommand.EnableDevice => EnableDevice(),
            DsaCommand.DisableDevice => registers.State != DsaState.Enabled ? CommandStatus.NotEnabled : Wait(command, AllQueues, drops: false),
            DsaCommand.DrainAll => registers.State != DsaState.Enabled ? CommandStatus.QueueNotEnabled : Wait(command, AllQueues, drops: false),
            DsaCommand.AbortAll => registers.State != DsaState.Enabled ? CommandStatus.QueueNotEnabled : Wait(command, AllQueues, drops: true),
            DsaCommand.ResetDevice => Wait(command, AllQueues, drops: true),
            DsaCommand.EnableQueue => operand >= DsaLimits.Queues ? CommandStatus.InvalidQueue : EnableQueue((int)operand),
            DsaCommand.DisableQueue or DsaCommand.DrainQueue => OnQueues(command, operand, drops: false),
            DsaCommand.AbortQueue or DsaCommand.ResetQueue => OnQueues(command, operand, drops: true),
            DsaCommand.DrainPasid => Wait(command, AllQueues, drops: false),
            DsaCommand.AbortPasid => Wait(command, AllQueues, drops: true),
            _ => CommandStatus.InvalidCommand,
        };
        if (status != CommandStatus.Success)
        {
            device.LogRefused(command, operand, status);
        }

        if (!registers.CommandIsActive)
        {
            End(status);
        }
    }

    /// <summary>A work queue has nothing under way any more.</summary>
    public void Proceed()
    {
        if (registers.CommandIsActive && AreIdle(_waitedFor))
        {
            Finish();
        }
    }

    /// <summary>The device was reset.</summary>
    public void Forget() => _waiting = DsaCommand.None;

    /// <summary>After a restored state: the command that waits.</summary>
    public (DsaCommand Command, uint Queues, bool Interrupts) Waiting
    {
        get => (_waiting, _waitedFor, _interrupts);
        set => (_waiting, _waitedFor, _interrupts) = value;
    }

    private static uint AllQueues => (1u << DsaLimits.Queues) - 1;

    private CommandStatus EnableDevice()
    {
        if (registers.State != DsaState.Disabled)
        {
            return CommandStatus.DeviceEnabled;
        }

        if (!device.IsBusMaster)
        {
            return CommandStatus.BusMasterDisabled;
        }

        CommandStatus status = CheckGroups();
        if (status == CommandStatus.Success)
        {
            registers.State = DsaState.Enabled;
        }

        return status;
    }

    private CommandStatus CheckGroups()
    {
        int size = 0;
        ulong members = 0;
        ulong engines = 0;
        for (int group = 0; group < DsaLimits.Groups; group++)
        {
            ulong itsQueues = registers.GroupQueues[group];
            ulong itsEngines = registers.GroupEngines[group];
            if ((members & itsQueues) != 0)
            {
                return CommandStatus.QueueGroups;
            }

            if ((engines & itsEngines) != 0)
            {
                return CommandStatus.EngineGroups;
            }

            if ((itsQueues == 0) != (itsEngines == 0))
            {
                return CommandStatus.GroupHalf;
            }

            members |= itsQueues;
            engines |= itsEngines;
        }

        for (int queue = 0; queue < DsaLimits.Queues; queue++)
        {
            size += (int)registers.QueueSize[queue];
            if (registers.QueueSize[queue] != 0 && (members & (1ul << queue)) == 0)
            {
                return CommandStatus.QueueGroups;
            }
        }

        return size > DsaLimits.TotalQueueSize ? CommandStatus.QueueSizes : CommandStatus.Success;
    }

    private CommandStatus EnableQueue(int queue)
    {
        CommandStatus status = registers.State != DsaState.Enabled ? CommandStatus.DeviceDisabled
            : registers.QueueState[queue] != 0 ? CommandStatus.QueueEnabled
            : registers.QueueSize[queue] == 0 ? CommandStatus.QueueSize
            : registers.QueuePriority[queue] == 0 ? CommandStatus.QueuePriority
            : registers.QueueIsDedicated[queue] == 0 ? CommandStatus.QueueMode
            : registers.QueueBlocksOnFault[queue] != 0 ? CommandStatus.QueueBlocksOnFault
            : registers.QueueHasPasid[queue] != 0 ? CommandStatus.QueuePasid
            : registers.QueueBatchShift[queue] > DsaLimits.BatchShift ? CommandStatus.QueueBatch
            : registers.QueueTransferShift[queue] > (uint)device.TransferShift ? CommandStatus.QueueTransfer
            : CommandStatus.Success;
        if (status == CommandStatus.Success)
        {
            registers.SetQueueState(queue, isEnabled: true);
        }

        return status;
    }

    /// <summary>A command on some of sixteen queues: a bit for each in the operand's lower half, which sixteen in its upper.</summary>
    private CommandStatus OnQueues(DsaCommand command, uint operand, bool drops)
    {
        uint mask = operand & ((1u << QueueMaskBits) - 1);
        if (operand >> QueueMaskBits != 0 || mask == 0 || (mask & ~AllQueues) != 0)
        {
            return CommandStatus.InvalidQueue;
        }

        for (int queue = 0; queue < DsaLimits.Queues; queue++)
        {
            if ((mask & (1u << queue)) != 0 && registers.QueueState[queue] == 0 && command != DsaCommand.ResetQueue)
            {
                return CommandStatus.QueueNotEnabled;
            }
        }

        return Wait(command, mask, drops);
    }

    private CommandStatus Wait(DsaCommand command, uint mask, bool drops)
    {
        registers.CommandIsActive = true;
        _waiting = command;
        _waitedFor = mask;
        if (command is DsaCommand.DisableDevice or DsaCommand.DrainAll)
        {
            registers.State = DsaState.Draining;
        }

        if (drops)
        {
            foreach (WorkQueue queue in queues)
            {
                if (IsIn(mask, queue))
                {
                    queue.Drop();
                }
            }
        }

        Proceed();
        return CommandStatus.Success;
    }

    private void Finish()
    {
        switch (_waiting)
        {
            case DsaCommand.DisableDevice:
                registers.QueueStates.Clear();
                registers.State = DsaState.Disabled;
                break;
            case DsaCommand.DrainAll:
                registers.State = DsaState.Enabled;
                break;
            case DsaCommand.ResetDevice:
                registers.ResetConfiguration();
                break;
            case DsaCommand.DisableQueue or DsaCommand.ResetQueue:
                bool resets = _waiting == DsaCommand.ResetQueue;
                foreach (WorkQueue queue in queues)
                {
                    if (!IsIn(_waitedFor, queue))
                    {
                        continue;
                    }

                    registers.SetQueueState(queue.Index, isEnabled: false);
                    if (resets)
                    {
                        registers.ResetQueue(queue.Index);
                    }
                }

                break;
        }

        _waiting = DsaCommand.None;
        registers.CommandIsActive = false;
        End(CommandStatus.Success);
    }

    private void End(CommandStatus status)
    {
        registers.CommandError = status;
        if (_interrupts)
        {
            _interrupts = false;
            registers.Cause |= DsaRegisters.CauseCommand;
            device.Signal(0);
        }
    }

    private static bool IsIn(uint mask, WorkQueue queue) => (mask & (1u << queue.Index)) != 0;

    private bool AreIdle(uint mask)
    {
        foreach (WorkQueue queue in queues)
        {
            if (IsIn(mask, queue) && !queue.IsIdle)
            {
                return false;
            }
        }

        return true;
    }
}

using System.Buffers.Binary;

namespace Vfio.Devices.Nvme;

/// <summary>Set Features (NVMe Base 2.0 §5.27): one method for each feature.</summary>
internal static class SetFeaturesCommand
{
    private const uint AllNamespaces = uint.MaxValue;

    public static NvmeStatus Execute(NvmeRequest request)
    {
        ref readonly NvmeCommand command = ref request.Command;
        var feature = (FeatureId)(byte)command.Dword10;
        if (!GetFeaturesCommand.IsSupported(request, feature))
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 40);
        }

        if ((command.Dword10 & (1U << 31)) != 0)
        {
            return request.Refuse(NvmeStatus.FeatureNotSaveable, location: 43, bit: 7);
        }

        if (!GetFeaturesCommand.IsPerNamespace(feature) && command.NamespaceId is not (0 or AllNamespaces))
        {
            return request.Controller.FindNamespace(command.NamespaceId) is null
                ? request.RefuseNamespace()
                : request.Refuse(NvmeStatus.FeatureNotPerNamespace, location: 4);
        }

        FeatureSet features = request.Controller.Features;
        uint value = command.Dword11;
        switch (feature)
        {
            case FeatureId.Arbitration:
                features.Arbitration = value & 0xFFFF_FF07;
                return NvmeStatus.Success;
            case FeatureId.PowerManagement:
                // There is one power state.
                if ((value & 0x1F) != 0)
                {
                    return request.Refuse(NvmeStatus.InvalidField, location: 44);
                }

                features.Power = value & 0xFF;
                return NvmeStatus.Success;
            case FeatureId.TemperatureThreshold:
                return SetTemperature(request, value);
            case FeatureId.ErrorRecovery:
                return SetErrorRecovery(request, value);
            case FeatureId.VolatileWriteCache:
                return SetWriteCache(request, (value & 1) != 0);
            case FeatureId.NumberOfQueues:
                return SetNumberOfQueues(request, value);
            case FeatureId.InterruptCoalescing:
                features.Coalescing = value & 0xFFFF;
                return NvmeStatus.Success;
            case FeatureId.InterruptVector:
                if (!features.IsVector(value & 0xFFFF))
                {
                    return request.Refuse(NvmeStatus.InvalidField, location: 44);
                }

                features.SetCoalescingDisabled(value & 0xFFFF, (value & 0x1_0000) != 0);
                return NvmeStatus.Success;
            case FeatureId.WriteAtomicity:
                features.WriteAtomicity = value & 1;
                return NvmeStatus.Success;
            case FeatureId.CommandSetProfile:
                // There is one combination.
                return (value & 0x1FF) == 0 ? NvmeStatus.Success : request.Refuse(NvmeStatus.CommandSetCombinationRejected, location: 44);
            case FeatureId.Timestamp:
                return SetTimestamp(request);
            case FeatureId.HostIdentifier:
                return SetHostIdentifier(request, value);
            case FeatureId.WriteProtection:
                return SetWriteProtection(request, value);
            default:
                features.AsyncEvents = value;
                ReportTemperature(request.Controller);
                request.Controller.ReportDegraded();
                return NvmeStatus.Success;
        }
    }

    /// <summary>A threshold that is crossed is an event, if the host wants such events.</summary>
    private static void ReportTemperature(NvmeController controller)
    {
        if (controller.Features.IsWarning(LogPages.Temperature))
        {
            controller.Events.ReportIfWanted(AsyncEvent.TemperatureThreshold);
        }
    }

    private static NvmeStatus SetTemperature(NvmeRequest request, uint value)
    {
        FeatureSet features = request.Controller.Features;
        uint sensor = (value >> 16) & 15;
        uint kind = (value >> 20) & 3;

        // The composite temperature is all there is; 15 means all sensors.
        if (sensor is not (0 or 15))
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 46);
        }

        switch (kind)
        {
            case 0:
                features.OverTemperature = (ushort)value;
                ReportTemperature(request.Controller);
                return NvmeStatus.Success;
            case 1:
                features.UnderTemperature = (ushort)value;
                ReportTemperature(request.Controller);
                return NvmeStatus.Success;
            default:
                return request.Refuse(NvmeStatus.InvalidField, location: 46, bit: 4);
        }
    }

    private static NvmeStatus SetErrorRecovery(NvmeRequest request, uint value)
    {
        FeatureSet features = request.Controller.Features;
        uint id = request.Command.NamespaceId;
        if (id != AllNamespaces && request.Controller.FindNamespace(id) is null)
        {
            return request.RefuseNamespace();
        }

        // DULBE: deallocated blocks read as zeros, never as errors.
        if ((value & 0x1_0000) != 0)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 46);
        }

        if (id == AllNamespaces)
        {
            features.SetRecoveryTimes((ushort)value);
        }
        else
        {
            features.SetRecoveryTime(id, (ushort)value);
        }

        return NvmeStatus.Success;
    }

    private static NvmeStatus SetWriteCache(NvmeRequest request, bool enabled)
    {
        // What is in the cache is durable before the host hears that it is off.
        request.Controller.Features.WriteCacheEnabled = enabled;
        return enabled || request.Controller.TryFlushAll() ? NvmeStatus.Success : NvmeStatus.WriteFault;
    }

    /// <summary>Eight bytes, of which the first six are milliseconds since 1970.</summary>
    private static NvmeStatus SetTimestamp(NvmeRequest request)
    {
        Span<byte> data = request.Page.AsSpan(0, 8);
        NvmeStatus status = request.ReadFromHost(data);
        if (status == NvmeStatus.Success)
        {
            FeatureSet features = request.Controller.Features;
            features.TimestampOffset = (BinaryPrimitives.ReadInt64LittleEndian(data) & FeatureSet.TimestampMask) - request.Controller.Milliseconds;
            features.IsTimestampSet = true;
        }

        return status;
    }

    /// <summary>Set once after a reset: 8 bytes, or 16 with EXHID.</summary>
    private static NvmeStatus SetHostIdentifier(NvmeRequest request, uint value)
    {
        Span<byte> identifier = request.Controller.Features.HostIdentifier;
        if (identifier.ContainsAnyExcept((byte)0))
        {
            return request.Refuse(NvmeStatus.CommandSequenceError, location: 40);
        }

        Span<byte> data = request.Page.AsSpan(0, (value & 1) != 0 ? 16 : 8);
        NvmeStatus status = request.ReadFromHost(data);
        if (status == NvmeStatus.Success)
        {
            data.CopyTo(identifier);
        }

        return status;
    }

    /// <summary>None or Write Protect; the states that last are not supported. What the program has made read only stays so.</summary>
    private static NvmeStatus SetWriteProtection(NvmeRequest request, uint value)
    {
        if (request.Controller.FindNamespace(request.Command.NamespaceId) is not { } ns)
        {
            return request.RefuseNamespace();
        }

        uint state = value & 7;
        if (state > 1)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 44);
        }

        if (ns.Backend.IsReadOnly)
        {
            return request.Refuse(NvmeStatus.FeatureNotChangeable, location: 40);
        }

        // Writes under way end before the host hears that there are none any more.
        ns.IsWriteProtected = state != 0;
        request.Controller.AwaitQueues();
        return state == 0 || ns.Flush() == Vfio.Abi.Errno.None ? NvmeStatus.Success : NvmeStatus.WriteFault;
    }

    private static NvmeStatus SetNumberOfQueues(NvmeRequest request, uint value)
    {
        NvmeController controller = request.Controller;
        uint submissions = value & 0xFFFF;
        uint completions = value >> 16;
        if (submissions == 0xFFFF || completions == 0xFFFF)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: submissions == 0xFFFF ? 44 : 46);
        }

        if (controller.HasIoQueues)
        {
            return request.Refuse(NvmeStatus.CommandSequenceError, location: 40);
        }

        controller.Features.SubmissionQueues = (int)Math.Min(submissions + 1, (uint)controller.Options.Queues);
        controller.Features.CompletionQueues = (int)Math.Min(completions + 1, (uint)controller.Options.Queues);
        request.Result = GetFeaturesCommand.NumberOfQueues(controller.Features);
        return NvmeStatus.Success;
    }
}

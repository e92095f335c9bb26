using System.Buffers.Binary;

namespace Vfio.Devices.Nvme;

/// <summary>Get Features (NVMe Base 2.0 §5.15).</summary>
internal static class GetFeaturesCommand
{
    private const uint Current = 0;
    private const uint Capabilities = 3;
    private const uint IsOfNamespace = 2;
    private const uint IsChangeable = 4;

    public static NvmeStatus Execute(NvmeRequest request)
    {
        ref readonly NvmeCommand command = ref request.Command;
        var feature = (FeatureId)(byte)command.Dword10;
        uint select = (command.Dword10 >> 8) & 7;
        if (!IsSupported(request, feature))
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 40);
        }

        if (select > Capabilities)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 41);
        }

        if (IsPerNamespace(feature) && request.Controller.FindNamespace(command.NamespaceId) is null)
        {
            return request.RefuseNamespace();
        }

        if (select == Capabilities)
        {
            request.Result = IsChangeable | (IsPerNamespace(feature) ? IsOfNamespace : 0);
            return NvmeStatus.Success;
        }

        // No feature is saved, so that the saved value is the default one.
        FeatureSet features = select == Current ? request.Controller.Features : request.Controller.DefaultFeatures;
        uint detail = command.Dword11;
        switch (feature)
        {
            case FeatureId.Arbitration:
                request.Result = features.Arbitration;
                break;
            case FeatureId.PowerManagement:
                request.Result = features.Power;
                break;
            case FeatureId.TemperatureThreshold:
                return GetTemperature(request, features, detail);
            case FeatureId.ErrorRecovery:
                request.Result = features.RecoveryTime(command.NamespaceId);
                break;
            case FeatureId.VolatileWriteCache:
                request.Result = features.WriteCacheEnabled ? 1U : 0;
                break;
            case FeatureId.NumberOfQueues:
                request.Result = NumberOfQueues(features);
                break;
            case FeatureId.InterruptCoalescing:
                request.Result = features.Coalescing;
                break;
            case FeatureId.InterruptVector:
                if (!features.IsVector(detail & 0xFFFF))
                {
                    return request.Refuse(NvmeStatus.InvalidField, location: 44);
                }

                request.Result = (detail & 0xFFFF) | (features.IsCoalescingDisabled(detail & 0xFFFF) ? 0x1_0000U : 0);
                break;
            case FeatureId.WriteAtomicity:
                request.Result = features.WriteAtomicity;
                break;
            case FeatureId.CommandSetProfile:
                request.Result = 0;
                break;
            case FeatureId.Timestamp:
                return GetTimestamp(request, features);
            case FeatureId.HostIdentifier:
                return request.WriteToHost(features.HostIdentifier.AsSpan(0, (detail & 1) != 0 ? 16 : 8));
            case FeatureId.WriteProtection:
                request.Result = select == Current && request.Controller.FindNamespace(command.NamespaceId) is { IsWriteProtected: true } ? 1U : 0;
                break;
            default:
                request.Result = features.AsyncEvents;
                break;
        }

        return NvmeStatus.Success;
    }

    /// <summary>Whether there is such a feature.</summary>
    public static bool IsSupported(NvmeRequest request, FeatureId feature) => feature switch
    {
        FeatureId.VolatileWriteCache => request.Controller.HasCache,
        FeatureId.CommandSetProfile => request.Controller.HasZones,
        _ => Enum.IsDefined(feature),
    };

    /// <summary>Whether each namespace has a value of its own.</summary>
    public static bool IsPerNamespace(FeatureId feature) => feature is FeatureId.ErrorRecovery or FeatureId.WriteProtection;

    /// <summary>NSQA and NCQA: the numbers that were granted, less one.</summary>
    public static uint NumberOfQueues(FeatureSet features) => (uint)(features.SubmissionQueues - 1) | ((uint)(features.CompletionQueues - 1) << 16);

    private static NvmeStatus GetTimestamp(NvmeRequest request, FeatureSet features)
    {
        const long IsSetByHost = 1L << 49;
        long time = request.Controller.Milliseconds + features.TimestampOffset;
        Span<byte> data = request.Page.AsSpan(0, 8);
        BinaryPrimitives.WriteInt64LittleEndian(data, (time & FeatureSet.TimestampMask) | (features.IsTimestampSet ? IsSetByHost : 0));
        return request.WriteToHost(data);
    }

    private static NvmeStatus GetTemperature(NvmeRequest request, FeatureSet features, uint detail)
    {
        if (((detail >> 16) & 15) != 0)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 46);
        }

        switch ((detail >> 20) & 3)
        {
            case 0:
                request.Result = features.OverTemperature;
                return NvmeStatus.Success;
            case 1:
                request.Result = features.UnderTemperature;
                return NvmeStatus.Success;
            default:
                return request.Refuse(NvmeStatus.InvalidField, location: 46, bit: 4);
        }
    }
}

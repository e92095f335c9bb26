using Microsoft.Extensions.Logging;
using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>The device's log lines.</summary>
internal static partial class NvmeLog
{
    [LoggerMessage(EventId = 4201, Level = LogLevel.Warning, Message = "{Device}: fatal: {Reason}; the controller waits for a reset ({Swallowed} such lines were left out)")]
    public static partial void Fatal(ILogger logger, string device, string reason, long swallowed);

    [LoggerMessage(EventId = 4202, Level = LogLevel.Error, Message = "{Device}: namespace {Namespace}: the storage failed to {Operation}: {Error}; the host is told, and this line is not repeated")]
    public static partial void BackendFailed(ILogger logger, string device, uint @namespace, string operation, Errno error);

    [LoggerMessage(EventId = 4203, Level = LogLevel.Warning, Message = "{Device}: namespace {Namespace}: {Text} ({Swallowed} such lines were left out)")]
    public static partial void Backend(ILogger logger, string device, uint @namespace, string text, long swallowed);
}

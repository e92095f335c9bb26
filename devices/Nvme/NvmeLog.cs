using Microsoft.Extensions.Logging;

namespace Vfio.Devices.Nvme;

/// <summary>The device's log lines.</summary>
internal static partial class NvmeLog
{
    [LoggerMessage(EventId = 4201, Level = LogLevel.Warning, Message = "{Device}: fatal: {Reason}; the controller waits for a reset ({Swallowed} such lines were left out)")]
    public static partial void Fatal(ILogger logger, string device, string reason, long swallowed);
}

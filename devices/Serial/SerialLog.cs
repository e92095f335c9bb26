using Microsoft.Extensions.Logging;

namespace Vfio.Devices.Serial;

/// <summary>The device's log lines.</summary>
internal static partial class SerialLog
{
    [LoggerMessage(EventId = 4101, Level = LogLevel.Information, Message = "{Device}: port {Port} is connected to {Line}")]
    public static partial void LineReady(ILogger logger, string device, int port, string line);
}

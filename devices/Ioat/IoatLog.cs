using Microsoft.Extensions.Logging;

namespace Vfio.Devices.Ioat;

/// <summary>The device's log lines.</summary>
internal static partial class IoatLog
{
    [LoggerMessage(EventId = 4301, Level = LogLevel.Warning, Message = "{Device}: channel {Channel} halted ({Error}) at the descriptor at 0x{Address:X}; {Swallowed} lines like this were left out")]
    public static partial void Halted(ILogger logger, string device, int channel, ChannelErrors error, ulong address, long swallowed);
}

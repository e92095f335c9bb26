using Microsoft.Extensions.Logging;
using Vfio.Abi;

namespace Vfio.Devices.Igb;

/// <summary>The device's log lines.</summary>
internal static partial class IgbLog
{
    [LoggerMessage(EventId = 4401, Level = LogLevel.Warning, Message = "{Device}: receive queue {Queue} could not use its memory at 0x{Address:X} ({Error}); the packet was dropped; {Swallowed} lines like this were left out")]
    public static partial void ReceiveFailed(ILogger logger, string device, int queue, ulong address, Errno error, long swallowed);

    [LoggerMessage(EventId = 4402, Level = LogLevel.Warning, Message = "{Device}: transmit queue {Queue} could not use its memory at 0x{Address:X} ({Error}); the packet was dropped; {Swallowed} lines like this were left out")]
    public static partial void TransmitFailed(ILogger logger, string device, int queue, ulong address, Errno error, long swallowed);

    [LoggerMessage(EventId = 4403, Level = LogLevel.Information, Message = "{Device}: link {State}")]
    public static partial void Link(ILogger logger, string device, string state);
}

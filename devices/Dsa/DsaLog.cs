using Microsoft.Extensions.Logging;

namespace Vfio.Devices.Dsa;

/// <summary>The device's log lines.</summary>
internal static partial class DsaLog
{
    [LoggerMessage(EventId = 4501, Level = LogLevel.Warning, Message = "{Device}: software error {Error} of work queue {Queue}, at 0x{Address:X}; {Swallowed} lines like this were left out")]
    public static partial void SoftwareError(ILogger logger, string device, CompletionStatus error, int queue, ulong address, long swallowed);

    [LoggerMessage(EventId = 4502, Level = LogLevel.Information, Message = "{Device}: command {Command} with operand 0x{Operand:X} is refused: {Status}")]
    public static partial void Refused(ILogger logger, string device, DsaCommand command, uint operand, CommandStatus status);
}

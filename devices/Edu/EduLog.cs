using Microsoft.Extensions.Logging;
using Vfio.Abi;

namespace Vfio.Devices.Edu;

/// <summary>The device's log lines.</summary>
internal static partial class EduLog
{
    [LoggerMessage(EventId = 4001, Level = LogLevel.Warning, Message = "{Device}: DMA of 0x{Count:X} bytes at device address 0x{Address:X} is not inside the buffer (0x40000 to 0x40FFF); nothing was transferred")]
    public static partial void OutsideBuffer(ILogger logger, string device, ulong address, ulong count);

    [LoggerMessage(EventId = 4002, Level = LogLevel.Warning, Message = "{Device}: DMA of {Count} bytes at 0x{Address:X} failed ({Error}); is the memory mapped for the device, and within its DMA mask?")]
    public static partial void DmaFailed(ILogger logger, string device, ulong address, int count, Errno error);
}

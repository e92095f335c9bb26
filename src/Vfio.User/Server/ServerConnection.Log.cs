using Microsoft.Extensions.Logging;
using Vfio.Abi;

namespace Vfio.User;

// Nothing here carries text of the peer's. A connection ends with one line, and the lines of a living one are limited.
internal sealed partial class ServerConnection
{
    private int _refusalsLogged;
    private int _reachLogged;

    [LoggerMessage(EventId = 3001, Level = LogLevel.Information, Message = "{Device}: client negotiated version 0.{Minor}, {Bytes} bytes a message, {Descriptors} descriptors")]
    private partial void LogNegotiated(string device, ushort minor, uint bytes, int descriptors);

    [LoggerMessage(EventId = 3002, Level = LogLevel.Warning, Message = "{Device}: could not be opened for a client: {Error}")]
    private partial void LogDeviceNotOpened(string device, Errno error);

    [LoggerMessage(EventId = 3003, Level = LogLevel.Warning, Message = "{Device}: client sent {What}; the connection ends")]
    private partial void LogProtocolError(string device, string what);

    [LoggerMessage(EventId = 3004, Level = LogLevel.Warning, Message = "{Device}: client did not finish a message in time; the connection ends")]
    private partial void LogTimeout(string device);

    [LoggerMessage(EventId = 3005, Level = LogLevel.Information, Message = "{Device}: client disconnected ({Reason})")]
    private partial void LogClosed(string device, ConnectionEnd reason);

    [LoggerMessage(EventId = 3006, Level = LogLevel.Error, Message = "{Device}: the device's code failed; the connection ends")]
    private partial void LogDeviceFailed(string device, Exception exception);

    [LoggerMessage(EventId = 3007, Level = LogLevel.Information, Message = "{Device}: being unregistered; its client is disconnected")]
    private partial void LogDisconnecting(string device);

    [LoggerMessage(EventId = 3008, Level = LogLevel.Information, Message = "{Device}: {Command} refused with {Error}")]
    private partial void LogRefusedCore(string device, VfioUserCommand command, Errno error);

    [LoggerMessage(EventId = 3009, Level = LogLevel.Warning, Message = "{Device}: DMA by message inside a handler that must answer first was refused; do it after the handler, or have the client share its memory")]
    private partial void LogNestedDma(string device);

    [LoggerMessage(EventId = 3010, Level = LogLevel.Warning, Message = "{Device}: something arrived, and the system gives no thread to handle it; trying again in a moment")]
    private partial void LogNoThread(string device);

    [LoggerMessage(EventId = 3011, Level = LogLevel.Debug, Message = "{Device}: client memory is reached this way: {Kind} (first at 0x{Address:x}, {Bytes} bytes)")]
    private partial void LogReach(string device, string kind, ulong address, ulong bytes);

    private void LogRefused(Errno error)
    {
        const int MaximumLines = 20;
        if (_refusalsLogged < MaximumLines)
        {
            _refusalsLogged++;
            LogRefusedCore(_deviceName, (VfioUserCommand)_current.cmd, error);
        }
    }
}

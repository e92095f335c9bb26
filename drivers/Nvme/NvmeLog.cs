using Microsoft.Extensions.Logging;

namespace Vfio.Drivers.Nvme;

/// <summary>What the driver logs.</summary>
internal static partial class NvmeLog
{
    [LoggerMessage(1, LogLevel.Information, "{Address}: {Queues} I/O queue pairs of {Depth} entries, completions by {Completion}, transfers up to {MaximumTransfer} bytes")]
    public static partial void Opened(ILogger logger, string address, int queues, int depth, string completion, int maximumTransfer);

    [LoggerMessage(2, LogLevel.Warning, "{Address}: command {Command} of queue {Queue} is late; aborting it")]
    public static partial void Aborting(ILogger logger, string address, int command, int queue);

    [LoggerMessage(3, LogLevel.Warning, "{Address}: resetting the controller: {Reason}")]
    public static partial void Resetting(ILogger logger, string address, string reason);

    [LoggerMessage(4, LogLevel.Information, "{Address}: the controller was reset; {Replays} commands were sent again")]
    public static partial void WasReset(ILogger logger, string address, int replays);

    [LoggerMessage(5, LogLevel.Error, "{Address}: the controller failed: {Reason}")]
    public static partial void Failed(ILogger logger, string address, string reason);

    [LoggerMessage(6, LogLevel.Warning, "{Address}: completions that belong to no command: {Count} so far")]
    public static partial void InvalidCompletions(ILogger logger, string address, long count);

    [LoggerMessage(7, LogLevel.Warning, "{Address}: the list of namespaces ends after {Count}: {Reason}")]
    public static partial void NamespacesCut(ILogger logger, string address, int count, string reason);
}

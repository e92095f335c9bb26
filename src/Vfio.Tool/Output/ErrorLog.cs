using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Vfio.Tool.Output;

/// <summary>The log on standard error, for <c>--log-level</c>.</summary>
internal static class ErrorLog
{
    /// <summary>Makes the log, or null for none.</summary>
    public static ILoggerFactory? Create(LogLevel level) => level == LogLevel.None
        ? null
        : LoggerFactory.Create(builder => builder
            .SetMinimumLevel(level)
            .AddConsole(static console => console.LogToStandardErrorThreshold = LogLevel.Trace)
            .AddSimpleConsole(static console => console.SingleLine = true));
}

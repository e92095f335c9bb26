using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Vfio.Tool.Output;

/// <summary>The log on standard error, for <c>--log-level</c>: one line a record.</summary>
/// <remarks>
/// Not the console logger of Microsoft.Extensions.Logging: that one brings dependency injection, options and configuration, which take a
/// fifth of the time to <c>listening</c>.
/// </remarks>
internal sealed class ErrorLog : ILoggerFactory
{
    private readonly Lock _lock = new();
    private readonly LogLevel _level;

    private ErrorLog(LogLevel level) => _level = level;

    /// <summary>Makes the log, or one that drops everything for <see cref="LogLevel.None"/>.</summary>
    public static ILoggerFactory Create(LogLevel level) => level == LogLevel.None ? NullLoggerFactory.Instance : new ErrorLog(level);

    public ILogger CreateLogger(string categoryName) => new Category(this, categoryName);

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException("This log has one destination.");

    public void Dispose()
    {
    }

    private sealed class Category(ErrorLog log, string name) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= log._level && logLevel != LogLevel.None;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (!IsEnabled(logLevel))
            {
                return;
            }

            string line = $"{Word(logLevel)}: {name}[{eventId.Id}] {formatter(state, exception)}{(exception is null ? string.Empty : $" ({exception})")}";
            lock (log._lock)
            {
                // One record is one line, whatever is in it.
                Console.Error.WriteLine(line.ReplaceLineEndings(" "));
            }
        }

        private static string Word(LogLevel level) => level switch
        {
            LogLevel.Trace => "trace",
            LogLevel.Debug => "debug",
            LogLevel.Information => "info",
            LogLevel.Warning => "warning",
            LogLevel.Error => "error",
            _ => "critical",
        };
    }
}

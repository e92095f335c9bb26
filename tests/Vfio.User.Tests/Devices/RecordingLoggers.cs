using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Vfio.User.Tests.Devices;

/// <summary>Keeps the lines of a log.</summary>
/// <param name="lowest">The lowest level that is kept.</param>
internal sealed class RecordingLoggers(LogLevel lowest = LogLevel.Information) : ILoggerFactory, ILogger
{
    public ConcurrentQueue<string> Lines { get; } = [];

    public ILogger CreateLogger(string categoryName) => this;

    public void AddProvider(ILoggerProvider provider)
    {
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= lowest;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        => Lines.Enqueue(formatter(state, exception));

    public void Dispose()
    {
    }
}

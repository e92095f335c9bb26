using Microsoft.Extensions.Logging;

namespace Vfio.Tests;

/// <summary>Keeps the numbers of the warnings and errors that were logged.</summary>
internal sealed class LogRecorder : ILoggerFactory, ILogger
{
    private readonly Lock _lock = new();
    private readonly List<int> _events = [];

    public IReadOnlyList<int> Events
    {
        get
        {
            lock (_lock)
            {
                return [.. _events];
            }
        }
    }

    public ILogger CreateLogger(string categoryName) => this;

    public void AddProvider(ILoggerProvider provider)
    {
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull
        => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        lock (_lock)
        {
            _events.Add(eventId.Id);
        }
    }

    public void Dispose()
    {
    }
}

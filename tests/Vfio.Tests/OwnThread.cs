namespace Vfio.Tests;

/// <summary>Runs what blocks on a thread of its own: the pool's few are shared by all tests, and one starved would wait for another.</summary>
internal static class OwnThread
{
    public static Task Run(Action action)
        => Task.Factory.StartNew(action, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    public static Task<T> Run<T>(Func<T> function)
        => Task.Factory.StartNew(function, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
}

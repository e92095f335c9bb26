namespace Vfio.TestUtilities;

/// <summary>
/// Checks that descriptors and shared mappings are back where they were: remembers them when it is made and compares when it is disposed. For use in a
/// <c>using</c> around a test's body.
/// </summary>
/// <remarks>
/// It sees the whole process, so tests that run at the same time disturb each other: put the classes that use it in one collection, or turn
/// parallel execution off in the assembly. What is released by another thread a moment later is waited for.
/// </remarks>
public sealed class DescriptorLeakGuard : IDisposable
{
    private readonly TimeSpan _patience;
    private readonly ProcessResources _before;
    private bool _disposed;

    /// <summary>Remembers the present state.</summary>
    /// <param name="patience">How long other threads may take to release what they hold; two seconds if not given.</param>
    public DescriptorLeakGuard(TimeSpan? patience = null)
    {
        _patience = patience ?? TimeSpan.FromSeconds(2);
        _before = ProcessResources.Capture();
    }

    /// <summary>What has been leaked since the guard was made; empty if nothing was.</summary>
    public IReadOnlyList<string> FindLeaks()
    {
        long deadline = Environment.TickCount64 + (long)_patience.TotalMilliseconds;
        while (true)
        {
            IReadOnlyList<string> leaks = ProcessResources.Capture().LeakedSince(_before);
            if (leaks.Count == 0 || Environment.TickCount64 > deadline)
            {
                return leaks;
            }

            Thread.Sleep(10);
        }
    }

    /// <summary>Compares.</summary>
    /// <exception cref="DescriptorLeakException">Something was leaked.</exception>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        IReadOnlyList<string> leaks = FindLeaks();
        if (leaks.Count > 0)
        {
            throw new DescriptorLeakException(leaks);
        }
    }
}

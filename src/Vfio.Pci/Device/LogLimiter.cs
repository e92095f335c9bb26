namespace Vfio.Pci;

/// <summary>Lets through a burst of lines and then one a second, and counts what it swallows: what a guest can cause must not fill a disk.</summary>
internal sealed class LogLimiter(TimeProvider clock)
{
    private const int Burst = 8;
    private readonly Lock _lock = new();
    private int _tokens = Burst;
    private long _refilled = clock.GetTimestamp();
    private long _swallowed;

    /// <summary>Whether a line may be written now.</summary>
    /// <param name="swallowed">How many were swallowed since the last one.</param>
    public bool TryTake(out long swallowed)
    {
        lock (_lock)
        {
            long now = clock.GetTimestamp();
            int seconds = (int)Math.Min(Burst, clock.GetElapsedTime(_refilled, now).TotalSeconds);
            if (seconds > 0)
            {
                _tokens = Math.Min(Burst, _tokens + seconds);
                _refilled = now;
            }

            swallowed = _swallowed;
            if (_tokens == 0)
            {
                _swallowed++;
                return false;
            }

            _tokens--;
            _swallowed = 0;
            return true;
        }
    }
}

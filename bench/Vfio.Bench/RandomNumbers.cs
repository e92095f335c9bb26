namespace Vfio.Bench;

/// <summary>Random numbers that cost next to nothing (xorshift), the same in each run.</summary>
internal struct RandomNumbers()
{
    private ulong _state = 88172645463325252;

    /// <summary>The next one below a bound.</summary>
    public ulong Next(ulong bound)
    {
        _state ^= _state << 13;
        _state ^= _state >> 7;
        _state ^= _state << 17;
        return _state % bound;
    }
}

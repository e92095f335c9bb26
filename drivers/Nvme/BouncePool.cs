namespace Vfio.Drivers.Nvme;

/// <summary>Memory that the device can reach, in pieces, for transfers to and from memory that it cannot.</summary>
internal sealed class BouncePool(VfioConnection connection, int pieceLength) : IDisposable
{
    private const int Pieces = 4;
    private readonly DmaBuffer _buffer = connection.AllocateDma((nuint)(Pieces * pieceLength));
    private readonly SemaphoreSlim _available = new(Pieces);
    private readonly Lock _lock = new();
    private int _free = (1 << Pieces) - 1;

    public int PieceLength => pieceLength;

    public DmaBuffer Buffer => _buffer;

    /// <summary>Takes a piece, when there is one.</summary>
    /// <returns>Its offset in <see cref="Buffer"/>.</returns>
    public async ValueTask<int> RentAsync()
    {
        await _available.WaitAsync().ConfigureAwait(false);
        lock (_lock)
        {
            int piece = int.TrailingZeroCount(_free);
            _free &= ~(1 << piece);
            return piece * pieceLength;
        }
    }

    public void Return(int offset)
    {
        lock (_lock)
        {
            _free |= 1 << (offset / pieceLength);
        }

        _available.Release();
    }

    public void Dispose() => _buffer.Dispose();
}

using Vfio.Abi;
using Vfio.Devices.Nvme;

namespace Vfio.Tool.Tests;

/// <summary>Storage with a cache that loses its content with the power: what no flush has made durable is there in part, block by block at random.</summary>
/// <param name="length">Its length in bytes.</param>
/// <param name="isHonest">Whether a flush does what it says; otherwise it only says it.</param>
internal sealed class VolatileBackend(int length, bool isHonest) : INvmeBackend
{
    private readonly Lock _lock = new();
    private readonly byte[] _cache = new byte[length];
    private readonly byte[] _medium = new byte[length];
    private bool _isOff;

    public ulong Length => (ulong)length;

    public bool MayWait => true;

    public bool HasVolatileCache => true;

    public bool IsReadOnly => false;

    /// <summary>How often it was flushed.</summary>
    public int Flushes { get; private set; }

    public Errno Read(ulong offset, Span<byte> destination)
    {
        lock (_lock)
        {
            _cache.AsSpan((int)offset, destination.Length).CopyTo(destination);
            return Failure;
        }
    }

    public Errno Write(ulong offset, ReadOnlySpan<byte> source)
    {
        lock (_lock)
        {
            if (!_isOff)
            {
                source.CopyTo(_cache.AsSpan((int)offset));
            }

            return Failure;
        }
    }

    public Errno Flush()
    {
        lock (_lock)
        {
            Flushes++;
            if (isHonest && !_isOff)
            {
                _cache.CopyTo(_medium, 0);
            }

            return Failure;
        }
    }

    public Errno Clear(ulong offset, ulong length) => Errno.EOPNOTSUPP;

    /// <summary>Loses the power: nothing succeeds any more.</summary>
    public void PowerOff(Random random)
    {
        lock (_lock)
        {
            _isOff = true;
            for (int block = 0; block < length; block += DurabilityLoad.BlockSize)
            {
                if (random.Next(2) == 0)
                {
                    _cache.AsSpan(block, DurabilityLoad.BlockSize).CopyTo(_medium.AsSpan(block));
                }
            }

            _medium.CopyTo(_cache, 0);
        }
    }

    /// <summary>Has power again, with what was durable and whatever else had got through.</summary>
    public byte[] PowerOn()
    {
        lock (_lock)
        {
            _isOff = false;
            return [.. _medium];
        }
    }

    public void Dispose()
    {
    }

    private Errno Failure => _isOff ? Errno.EIO : Errno.None;
}

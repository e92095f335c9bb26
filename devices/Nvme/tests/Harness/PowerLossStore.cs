using Vfio.Abi;

namespace Vfio.Devices.Nvme.Tests.Harness;

/// <summary>Storage with a cache: what was not flushed survives a power loss by sectors of 512 bytes, each or not, whatever the order.</summary>
internal sealed class PowerLossStore(int length) : INvmeBackend
{
    private const int Sector = 512;
    private readonly byte[] _cache = new byte[length];
    private readonly byte[] _durable = new byte[length];
    private readonly HashSet<int> _dirty = [];

    public ulong Length => (ulong)length;

    public bool MayWait => true;

    public bool HasVolatileCache => true;

    public bool IsReadOnly => false;

    /// <summary>Calls that change or flush, so far.</summary>
    public int Calls { get; private set; }

    /// <summary>Later calls do nothing: the power is gone.</summary>
    public int FailsAfter { get; set; } = int.MaxValue;

    public void LosePower(Random random)
    {
        foreach (int sector in _dirty)
        {
            if (random.Next(2) == 0)
            {
                _cache.AsSpan(sector * Sector, Sector).CopyTo(_durable.AsSpan(sector * Sector));
            }
        }

        _dirty.Clear();
        _durable.CopyTo(_cache, 0);
        FailsAfter = int.MaxValue;
    }

    public Errno Read(ulong offset, Span<byte> destination)
    {
        _cache.AsSpan((int)offset, destination.Length).CopyTo(destination);
        return Errno.None;
    }

    public Errno Write(ulong offset, ReadOnlySpan<byte> source)
    {
        if (Calls++ >= FailsAfter)
        {
            return Errno.EIO;
        }

        source.CopyTo(_cache.AsSpan((int)offset));
        Touch(offset, source.Length);
        return Errno.None;
    }

    public Errno Flush()
    {
        if (Calls++ >= FailsAfter)
        {
            return Errno.EIO;
        }

        foreach (int sector in _dirty)
        {
            _cache.AsSpan(sector * Sector, Sector).CopyTo(_durable.AsSpan(sector * Sector));
        }

        _dirty.Clear();
        return Errno.None;
    }

    public Errno Clear(ulong offset, ulong length)
    {
        if (Calls++ >= FailsAfter)
        {
            return Errno.EIO;
        }

        _cache.AsSpan((int)offset, (int)length).Clear();
        Touch(offset, (int)length);
        return Errno.None;
    }

    public void Dispose()
    {
    }

    private void Touch(ulong offset, int length)
    {
        for (int sector = (int)offset / Sector; sector * Sector < (int)offset + length; sector++)
        {
            _dirty.Add(sector);
        }
    }
}

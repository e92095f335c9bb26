namespace Vfio.Devices.Nvme;

/// <summary>What a queue has done, for the SMART log (NVMe Base 2.0 §5.16.1.3). Written by whoever runs the queue; readers may be a command late.</summary>
internal sealed class IoStatistics
{
    private long _bytesRead;
    private long _bytesWritten;
    private long _readCommands;
    private long _writeCommands;

    public long BytesRead => Volatile.Read(ref _bytesRead);

    public long BytesWritten => Volatile.Read(ref _bytesWritten);

    public long ReadCommands => Volatile.Read(ref _readCommands);

    public long WriteCommands => Volatile.Read(ref _writeCommands);

    /// <summary>Blocks were read for the host, or compared with its memory.</summary>
    public void CountRead(long bytes)
    {
        _bytesRead += bytes;
        _readCommands++;
    }

    /// <summary>Blocks were read and not transferred.</summary>
    public void CountVerified(long bytes) => _bytesRead += bytes;

    /// <summary>Blocks were written from the host's memory.</summary>
    public void CountWrite(long bytes)
    {
        _bytesWritten += bytes;
        _writeCommands++;
    }

    /// <summary>Takes over the counts of a queue that ceases to be.</summary>
    public void Add(IoStatistics other)
    {
        Interlocked.Add(ref _bytesRead, other.BytesRead);
        Interlocked.Add(ref _bytesWritten, other.BytesWritten);
        Interlocked.Add(ref _readCommands, other.ReadCommands);
        Interlocked.Add(ref _writeCommands, other.WriteCommands);
    }
}

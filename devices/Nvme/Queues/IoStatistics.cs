using Vfio.Pci;

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

    /// <summary>Writes the counts.</summary>
    public void Save(DeviceStateWriter writer)
    {
        writer.WriteUInt64((ulong)BytesRead);
        writer.WriteUInt64((ulong)BytesWritten);
        writer.WriteUInt64((ulong)ReadCommands);
        writer.WriteUInt64((ulong)WriteCommands);
    }

    /// <summary>Takes what <see cref="Save"/> wrote.</summary>
    public void Restore(ref DeviceStateReader reader)
    {
        Volatile.Write(ref _bytesRead, (long)reader.ReadUInt64());
        Volatile.Write(ref _bytesWritten, (long)reader.ReadUInt64());
        Volatile.Write(ref _readCommands, (long)reader.ReadUInt64());
        Volatile.Write(ref _writeCommands, (long)reader.ReadUInt64());
    }

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

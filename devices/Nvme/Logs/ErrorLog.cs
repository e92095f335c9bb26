using System.Buffers.Binary;
using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <summary>The last errors, newest first (log page 01h, NVMe Base 2.0 §5.16.1.2). Its lock encloses nothing.</summary>
internal sealed class ErrorLog
{
    /// <summary>Identify.ELPE + 1.</summary>
    public const int Capacity = 64;

    public const int EntryLength = 64;

    private readonly Lock _lock = new();
    private readonly byte[] _entries = new byte[Capacity * EntryLength];
    private ulong _count;

    /// <summary>Errors since the controller was made.</summary>
    public ulong Count
    {
        get
        {
            lock (_lock)
            {
                return _count;
            }
        }
    }

    /// <summary>Adds an error.</summary>
    /// <param name="queue">Submission queue.</param>
    /// <param name="command">The command.</param>
    /// <param name="status">Its status.</param>
    /// <param name="location">Where in the command the mistake is.</param>
    /// <param name="block">The block that is wrong.</param>
    public void Add(int queue, in NvmeCommand command, NvmeStatus status, ushort location, ulong block)
    {
        lock (_lock)
        {
            _count++;
            Span<byte> entry = _entries.AsSpan((int)((_count - 1) % Capacity) * EntryLength, EntryLength);
            entry.Clear();
            BinaryPrimitives.WriteUInt64LittleEndian(entry, _count);
            BinaryPrimitives.WriteUInt16LittleEndian(entry[8..], (ushort)queue);
            BinaryPrimitives.WriteUInt16LittleEndian(entry[10..], command.CommandId);
            BinaryPrimitives.WriteUInt16LittleEndian(entry[12..], (ushort)(status.ToField() << 1));
            BinaryPrimitives.WriteUInt16LittleEndian(entry[14..], location);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[16..], block);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[24..], command.NamespaceId);
        }
    }

    /// <summary>Writes the log as it is kept.</summary>
    public void Save(DeviceStateWriter writer)
    {
        lock (_lock)
        {
            writer.WriteUInt64(_count);
            writer.WriteBytes(_entries);
        }
    }

    /// <summary>Takes what <see cref="Save"/> wrote.</summary>
    public void Restore(ref DeviceStateReader reader)
    {
        lock (_lock)
        {
            _count = reader.ReadUInt64();
            reader.ReadBytes(_entries.Length).CopyTo(_entries);
        }
    }

    /// <summary>Copies the log, newest first.</summary>
    /// <param name="page">Receives <see cref="Capacity"/> entries; those without an error are zero.</param>
    public void CopyTo(Span<byte> page)
    {
        page[..(Capacity * EntryLength)].Clear();
        lock (_lock)
        {
            int count = (int)Math.Min(_count, Capacity);
            for (int i = 0; i < count; i++)
            {
                int from = (int)((_count - 1 - (ulong)i) % Capacity);
                _entries.AsSpan(from * EntryLength, EntryLength).CopyTo(page[(i * EntryLength)..]);
            }
        }
    }
}

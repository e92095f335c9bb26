using System.Buffers.Binary;
using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <summary>Which namespaces have changed since the host last looked (log page 04h, NVMe Base 2.0 §5.16.1.5). Its lock encloses nothing.</summary>
internal sealed class ChangedNamespaces
{
    private readonly Lock _lock = new();
    private readonly bool[] _changed = new bool[NvmeController.MaxNamespaces];

    public void Add(uint id)
    {
        lock (_lock)
        {
            _changed[id - 1] = true;
        }
    }

    /// <summary>Writes the identifiers, ascending.</summary>
    /// <param name="page">A zeroed page.</param>
    public void CopyTo(Span<byte> page)
    {
        int count = 0;
        lock (_lock)
        {
            for (int i = 0; i < _changed.Length; i++)
            {
                if (_changed[i])
                {
                    BinaryPrimitives.WriteUInt32LittleEndian(page[(count++ * sizeof(uint))..], (uint)i + 1);
                }
            }
        }
    }

    /// <summary>The host has read the identifiers of a page: those are told. What has changed meanwhile stays.</summary>
    public void Acknowledge(ReadOnlySpan<byte> page)
    {
        lock (_lock)
        {
            for (; page.Length >= sizeof(uint) && BinaryPrimitives.ReadUInt32LittleEndian(page) is > 0 and var id; page = page[sizeof(uint)..])
            {
                _changed[id - 1] = false;
            }
        }
    }

    public void Save(DeviceStateWriter writer)
    {
        lock (_lock)
        {
            foreach (bool hasChanged in _changed)
            {
                writer.WriteBoolean(hasChanged);
            }
        }
    }

    public void Restore(ref DeviceStateReader reader)
    {
        lock (_lock)
        {
            for (int i = 0; i < _changed.Length; i++)
            {
                _changed[i] = reader.ReadBoolean();
            }
        }
    }

    public void Clear()
    {
        lock (_lock)
        {
            Array.Clear(_changed);
        }
    }
}

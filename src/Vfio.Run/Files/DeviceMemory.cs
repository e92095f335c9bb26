using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>The parts of a device's regions that are plain memory, which programs map as such.</summary>
internal sealed class DeviceMemory : IDisposable
{
    private readonly Lock _lock = new();
    private readonly List<Part> _parts = [];

    /// <summary>The parts that lie in a range of positions.</summary>
    public IReadOnlyList<Part> Find(ulong position, ulong length)
    {
        lock (_lock)
        {
            return [.. _parts.Where(part => part.Position < position + length && position < part.Position + part.Length)];
        }
    }

    /// <summary>Asks the device for a part, unless it is there already.</summary>
    public Part? TryAdd(VfioDeviceFile device, ulong position, ulong length, MemoryProtection protection)
    {
        lock (_lock)
        {
            if (_parts.Exists(part => part.Position == position))
            {
                return null;
            }

            if (device.Map(new MapRequest(position, length, protection), out MappableMemory memory) != Errno.None)
            {
                return null;
            }

            Part added = new(position, length, memory);
            _parts.Add(added);
            return added;
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _parts.ForEach(static part => part.Memory.Lease?.Dispose());
            _parts.Clear();
        }
    }

    /// <summary>A part.</summary>
    /// <param name="Position">The position in the device's file.</param>
    /// <param name="Length">Length in bytes.</param>
    /// <param name="Memory">The memory.</param>
    internal sealed record Part(ulong Position, ulong Length, MappableMemory Memory)
    {
        /// <summary>The number of the memory's descriptor in the program.</summary>
        public int Number { get; set; } = -1;
    }
}

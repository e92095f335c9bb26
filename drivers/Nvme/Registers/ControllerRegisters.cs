using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Drivers.Nvme;

/// <summary>BAR 0 of a controller: mapped memory where the connection maps it, accesses of the region elsewhere.</summary>
/// <remarks>An access that fails reads as all ones, as a device does that was pulled out: whoever reads a status tells both alike.</remarks>
internal sealed class ControllerRegisters : IDisposable
{
    private const ulong MaximumMapping = 1 << 20;
    private readonly VfioConnection _connection;
    private readonly MemoryMapping? _properties;
    private readonly MemoryMapping? _doorbells;
    private readonly ulong _propertiesEnd;
    private readonly ulong _doorbellsEnd;

    public ControllerRegisters(VfioConnection connection)
    {
        _connection = connection;
        try
        {
            // Apart: a device may let its doorbells be mapped and look at accesses of the properties.
            _properties = Map(0, ControllerRegister.Doorbells, out _propertiesEnd);
            _doorbells = Map(ControllerRegister.Doorbells, ControllerRegister.Doorbells + MaximumMapping, out _doorbellsEnd);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Bytes of the BAR.</summary>
    public ulong Size => _connection.Bar(0).Size;

    /// <summary>Whether doorbells are rung by a store, without a system call.</summary>
    public bool AreDoorbellsMapped => _doorbells is not null;

    public uint Read32(ulong offset)
    {
        if (offset + sizeof(uint) <= _propertiesEnd)
        {
            return Volatile.Read(ref Register(_properties!, offset));
        }

        Span<byte> value = stackalloc byte[sizeof(uint)];
        return _connection.TryRead((uint)PciRegion.Bar0, offset, value) == Errno.None ? BinaryPrimitives.ReadUInt32LittleEndian(value) : ControllerRegister.Gone;
    }

    public Errno Write32(ulong offset, uint value)
    {
        if (offset + sizeof(uint) <= _propertiesEnd)
        {
            Volatile.Write(ref Register(_properties!, offset), value);
            return Errno.None;
        }

        if (offset >= ControllerRegister.Doorbells && offset + sizeof(uint) <= _doorbellsEnd)
        {
            // What was stored to memory before is visible to the device before the doorbell changes.
            Volatile.Write(ref Register(_doorbells!, offset - ControllerRegister.Doorbells), value);
            return Errno.None;
        }

        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        return _connection.TryWrite((uint)PciRegion.Bar0, offset, bytes);
    }

    /// <summary>Reads eight bytes by two accesses, which every controller and every way to it allows.</summary>
    public ulong Read64(ulong offset) => Read32(offset) | ((ulong)Read32(offset + sizeof(uint)) << 32);

    /// <summary>Writes eight bytes by two accesses, the lower half first.</summary>
    public void Write64(ulong offset, ulong value)
    {
        _ = Write32(offset, (uint)value);
        _ = Write32(offset + sizeof(uint), (uint)(value >> 32));
    }

    public void Dispose()
    {
        _properties?.Dispose();
        _doorbells?.Dispose();
    }

    private static ref uint Register(MemoryMapping mapping, ulong offset) => ref MemoryMarshal.AsRef<uint>(mapping.Slice((nuint)offset, sizeof(uint)));

    /// <summary>Maps what can be mapped from an offset on, in whole pages.</summary>
    private MemoryMapping? Map(ulong start, ulong limit, out ulong end)
    {
        end = 0;
        foreach (SparseArea area in _connection.Regions[(int)PciRegion.Bar0].MappableAreas)
        {
            ulong last = Math.Min(area.Offset + area.Size, limit) & ~0xFFFUL;
            if (area.Offset <= start && last > start)
            {
                end = last;
                return _connection.Map(PciRegion.Bar0, start, last - start);
            }
        }

        return null;
    }
}

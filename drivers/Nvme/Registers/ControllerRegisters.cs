using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Drivers.Nvme;

/// <summary>BAR 0 of a controller: mapped memory where the connection maps it, accesses of the region elsewhere.</summary>
/// <remarks>An access that fails reads as all ones, as a device does that was pulled out: whoever reads a status tells both alike.</remarks>
internal sealed class ControllerRegisters : IDisposable
{
    private const int MaximumMapping = 1 << 20;
    private readonly VfioConnection _connection;
    private readonly MemoryMapping? _mapping;
    private readonly uint _mapped;

    public ControllerRegisters(VfioConnection connection)
    {
        _connection = connection;
        RegionDescription bar = connection.Regions[(int)PciRegion.Bar0];

        // Properties and doorbells stand at the beginning: one mapping from 0 serves as far as it goes.
        if (bar.MappableAreas.FirstOrDefault(static area => area.Offset == 0) is { Size: >= 0x1000 } start)
        {
            _mapped = (uint)Math.Min(start.Size & ~0xFFFUL, MaximumMapping);
            _mapping = connection.Map(PciRegion.Bar0, 0, _mapped);
        }
    }

    /// <summary>Bytes of the BAR.</summary>
    public ulong Size => _connection.Bar(0).Size;

    /// <summary>Whether doorbells are rung by a store, without a system call.</summary>
    public bool IsMapped => _mapped > ControllerRegister.Doorbells;

    public uint Read32(ulong offset)
    {
        if (offset + sizeof(uint) <= _mapped)
        {
            return Volatile.Read(ref Register(offset));
        }

        Span<byte> value = stackalloc byte[sizeof(uint)];
        return _connection.TryRead((uint)PciRegion.Bar0, offset, value) == Errno.None ? BinaryPrimitives.ReadUInt32LittleEndian(value) : ControllerRegister.Gone;
    }

    public Errno Write32(ulong offset, uint value)
    {
        if (offset + sizeof(uint) <= _mapped)
        {
            // What was stored to memory before is visible to the device before the register changes.
            Volatile.Write(ref Register(offset), value);
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

    public void Dispose() => _mapping?.Dispose();

    private ref uint Register(ulong offset) => ref MemoryMarshal.AsRef<uint>(_mapping!.Slice((nuint)offset, sizeof(uint)));
}

using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Differential;

/// <content>Accesses to regions, and mappings of them.</content>
internal sealed partial class Session
{
    /// <summary>Reads a register.</summary>
    /// <returns>The value, also when fewer bytes came.</returns>
    public ulong Load(int device, PciRegion region, ulong offset, int width)
    {
        Span<byte> bytes = stackalloc byte[8];
        bytes.Clear();
        IoResult result = _system.Read(device, bytes[..width], PciLayout.Position((uint)region, offset));
        ulong value = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        Record($"read{width * 8}({NameOf(device)}, {region}+0x{offset:x})", result, result.Value > 0 ? [new KeyValuePair<string, string>("value", $"0x{value:x}")] : null);
        return value;
    }

    /// <summary>Writes a register.</summary>
    public void Store(int device, PciRegion region, ulong offset, int width, ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        Record($"write{width * 8}({NameOf(device)}, {region}+0x{offset:x}, 0x{value:x})", _system.Write(device, bytes[..width], PciLayout.Position((uint)region, offset)));
    }

    /// <summary>Reads a 32-bit register until it has a value, which is a matter of time and so not written down; that it never had is.</summary>
    public void WaitUntil(int device, PciRegion region, ulong offset, Func<uint, bool> condition)
    {
        Span<byte> bytes = stackalloc byte[4];
        long deadline = Environment.TickCount64 + LongWait;
        IoResult result;
        do
        {
            result = _system.Read(device, bytes, PciLayout.Position((uint)region, offset));
            if (result.Count == 4 && condition(BinaryPrimitives.ReadUInt32LittleEndian(bytes)))
            {
                return;
            }

            Thread.Sleep(1);
        }
        while (!result.IsError && Environment.TickCount64 < deadline);
        Record($"wait({NameOf(device)}, {region}+0x{offset:x})", result.IsError ? result : Errno.ETIME);
    }

    /// <summary>Reads bytes at a position of the file.</summary>
    /// <param name="file">The file.</param>
    /// <param name="position">The position.</param>
    /// <param name="count">How many bytes.</param>
    /// <param name="shown">How many of them are compared.</param>
    public void ReadAt(int file, ulong position, int count, int shown = 0)
    {
        byte[] bytes = new byte[count];
        IoResult result = _system.Read(file, bytes, position);
        string data = Convert.ToHexStringLower(bytes.AsSpan(0, Math.Min(shown, result.Count)));
        Record($"pread({NameOf(file)}, {count} at 0x{position:x})", result, data.Length > 0 ? [new KeyValuePair<string, string>("data", data)] : null);
    }

    /// <summary>Writes zeros at a position of the file.</summary>
    public void WriteAt(int file, ulong position, int count)
        => Record($"pwrite({NameOf(file)}, {count} at 0x{position:x})", _system.Write(file, new byte[count], position));

    /// <summary>Reads bytes where a stream is; its files have no positions.</summary>
    public void Read(int file, int count)
    {
        byte[] bytes = new byte[count];
        IoResult result = _system.Read(file, bytes, null);
        Record($"read({NameOf(file)}, {count})", result);
    }

    /// <summary>Writes zeros to a stream.</summary>
    public void Write(int file, int count) => Record($"write({NameOf(file)}, {count})", _system.Write(file, new byte[count], null));

    /// <summary>Maps a region.</summary>
    public void Map(int file, PciRegion region, ulong offset = 0, ulong length = 4096, MemoryProtection protection = MemoryProtection.ReadWrite, bool shared = true)
    {
        Errno error = _system.Map(file, PciLayout.Position((uint)region, offset), length, protection, shared, out IDisposable? mapping);
        if (mapping is not null)
        {
            _owned.Add(mapping);
        }

        Add($"mmap({NameOf(file)}, {region}+0x{offset:x}, 0x{length:x}, {protection}{(shared ? "" : ", private")})", error == Errno.None ? "mapped" : error.GetName());
    }
}

using System.Runtime.InteropServices;
using Vfio.Pci;

namespace Vfio.User.Tests.Devices;

/// <summary>Registers that remember everything.</summary>
public sealed class RamBlock(ulong size) : RegisterBlock("ram", size)
{
    public byte[] Bytes { get; } = new byte[size];

    public override AccessResult Read(ulong offset, int width, out ulong value)
    {
        Span<byte> at = Bytes.AsSpan((int)offset);
        value = width switch
        {
            1 => at[0],
            2 => MemoryMarshal.Read<ushort>(at),
            4 => MemoryMarshal.Read<uint>(at),
            _ => MemoryMarshal.Read<ulong>(at),
        };
        return AccessResult.Ok;
    }

    public override AccessResult Write(ulong offset, int width, ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        MemoryMarshal.Write(bytes, in value);
        bytes[..width].CopyTo(Bytes.AsSpan((int)offset));
        return AccessResult.Ok;
    }
}

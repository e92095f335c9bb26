using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Vfio.Devices.Dsa;

/// <summary>A descriptor as software writes it to a portal, or lists it in a batch (DSA 1.0 §8.1).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct DsaDescriptor
{
    public const int Length = 64;
    private const uint ReservedOfFirst = 0x7FF0_0000;
    private const uint FlagsMask = 0xFF_FFFF;

    /// <summary>PASID and privilege: those of a dedicated work queue are in its configuration.</summary>
    public uint First;

    public uint FlagsAndOpcode;
    public ulong CompletionAddress;

    /// <summary>Source, pattern, or the list of a batch.</summary>
    public ulong Source;

    /// <summary>Destination, second source, or the pattern to compare with.</summary>
    public ulong Destination;

    /// <summary>Bytes; of a batch its descriptors.</summary>
    public uint Size;

    public ushort InterruptHandle;
    public ushort Reserved;
    public OperationBytes Operation;

    public readonly DsaOpcode Opcode => (DsaOpcode)(FlagsAndOpcode >> 24);

    public readonly DescriptorFlags Flags => (DescriptorFlags)(FlagsAndOpcode & FlagsMask);

    /// <summary>Whether bits are set that no operation has a meaning for.</summary>
    public readonly bool HasReserved => (First & ReservedOfFirst) != 0 || Reserved != 0;

    /// <summary>Bytes 40 to 63.</summary>
    [UnscopedRef]
    public readonly ReadOnlySpan<byte> OwnBytes => Operation;

    /// <summary>The operation's own bytes.</summary>
    [InlineArray(Length)]
    public struct OperationBytes
    {
        public const int Length = 24;
        private byte _first;
    }
}

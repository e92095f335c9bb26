using System.Runtime.InteropServices;

namespace Vfio.Devices.Ioat;

/// <summary>A descriptor as it lies in memory, little-endian.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IoatDescriptor
{
    public const int Length = 64;
    public const byte Copy = 0x00;
    public const byte Fill = 0x01;
    public uint Size;
    public uint Control;

    /// <summary>Where a copy reads; of a fill, the eight bytes to write.</summary>
    public ulong Source;
    public ulong Destination;
    public ulong Next;
    private readonly ulong _reserved1;
    private readonly ulong _reserved2;
    private readonly ulong _user1;
    private readonly ulong _user2;

    public readonly bool Interrupts => (Control & 1) != 0;

    public readonly bool WritesCompletion => (Control & 8) != 0;

    public readonly bool IsNull => (Control & 0x20) != 0;

    public readonly byte Operation => (byte)(Control >> 24);
}

using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>One function that a hot reset touches.</summary>
[StructLayout(LayoutKind.Explicit, Size = 8)]
public struct vfio_pci_dependent_device
{
    [FieldOffset(0)]
    public uint group_id;

    [FieldOffset(0)]
    public uint devid;

    [FieldOffset(4)]
    public ushort segment;

    [FieldOffset(6)]
    public byte bus;

    [FieldOffset(7)]
    public byte devfn;
}

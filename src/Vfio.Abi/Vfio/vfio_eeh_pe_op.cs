using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of VFIO_EEH_PE_OP.</summary>
[StructLayout(LayoutKind.Explicit, Size = 40)]
public struct vfio_eeh_pe_op
{
    [FieldOffset(0)]
    public uint argsz;

    [FieldOffset(4)]
    public uint flags;

    [FieldOffset(8)]
    public uint op;

    [FieldOffset(16)]
    public vfio_eeh_pe_err err;
}

using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>An error to inject with VFIO_EEH_PE_OP.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_eeh_pe_err
{
    public uint type;
    public uint func;
    public ulong addr;
    public ulong mask;
}

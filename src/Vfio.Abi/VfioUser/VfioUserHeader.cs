using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Start of every message in both directions. <c>msg_size</c> counts these 16 bytes too; the reply repeats <c>msg_id</c> and <c>cmd</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VfioUserHeader
{
    public ushort msg_id;
    public ushort cmd;
    public uint msg_size;
    public uint flags;
    public uint error_no;
}

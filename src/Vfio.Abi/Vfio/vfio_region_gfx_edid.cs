using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Registers at the start of the EDID region of a display.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_region_gfx_edid
{
    public uint edid_offset;
    public uint edid_max_size;
    public uint edid_size;
    public uint max_xres;
    public uint max_yres;
    public uint link_state;
}

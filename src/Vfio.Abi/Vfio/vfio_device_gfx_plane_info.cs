using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Argument of VFIO_DEVICE_QUERY_GFX_PLANE.</summary>
[StructLayout(LayoutKind.Explicit, Size = 64)]
public struct vfio_device_gfx_plane_info
{
    [FieldOffset(0)]
    public uint argsz;

    [FieldOffset(4)]
    public uint flags;

    [FieldOffset(8)]
    public uint drm_plane_type;

    [FieldOffset(12)]
    public uint drm_format;

    [FieldOffset(16)]
    public ulong drm_format_mod;

    [FieldOffset(24)]
    public uint width;

    [FieldOffset(28)]
    public uint height;

    [FieldOffset(32)]
    public uint stride;

    [FieldOffset(36)]
    public uint size;

    [FieldOffset(40)]
    public uint x_pos;

    [FieldOffset(44)]
    public uint y_pos;

    [FieldOffset(48)]
    public uint x_hot;

    [FieldOffset(52)]
    public uint y_hot;

    [FieldOffset(56)]
    public uint region_index;

    [FieldOffset(56)]
    public uint dmabuf_id;

    [FieldOffset(60)]
    public uint reserved;
}

using System.Runtime.InteropServices;

namespace Vfio.Abi;

/// <summary>Payload of <see cref="VfioUserCommand.DmaRead"/> and <see cref="VfioUserCommand.DmaWrite"/> and of their replies; the data follow.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct vfio_user_dma_access
{
    public ulong address;
    public ulong count;
}

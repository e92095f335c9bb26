using System.Runtime.InteropServices;

namespace Vfio.Devices.Nvme;

/// <summary>The namespace and the blocks of a command that has SLBA in dwords 10 and 11 and NLB in dword 12.</summary>
[StructLayout(LayoutKind.Auto)]
internal readonly struct BlockRange
{
    private BlockRange(NvmeNamespace ns, ulong offset, long length)
    {
        Namespace = ns;
        Offset = offset;
        Length = length;
    }

    public NvmeNamespace Namespace { get; }

    /// <summary>First byte in the backend.</summary>
    public ulong Offset { get; }

    /// <summary>Length in bytes.</summary>
    public long Length { get; }

    /// <summary>Checks what a command names.</summary>
    /// <param name="request">The command.</param>
    /// <param name="transfers">Whether the blocks are transferred, so that MDTS limits them.</param>
    /// <param name="range">The range.</param>
    /// <returns>What is wrong with it.</returns>
    public static NvmeStatus TryCreate(NvmeRequest request, bool transfers, out BlockRange range)
    {
        range = default;
        ref readonly NvmeCommand command = ref request.Command;
        if (request.Controller.FindNamespace(command.NamespaceId) is not { } ns)
        {
            return request.Refuse(NvmeStatus.InvalidNamespace, location: 4);
        }

        ulong first = command.Dword10 | ((ulong)command.Dword11 << 32);
        ulong count = (command.Dword12 & 0xFFFF) + 1;
        long length = (long)count << ns.BlockShift;
        request.ErrorBlock = first;
        if (transfers && length > ControllerCapabilities.MaxTransfer)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 48);
        }

        if (first >= ns.Blocks || count > ns.Blocks - first)
        {
            return request.Refuse(NvmeStatus.LbaOutOfRange, location: 40);
        }

        range = new BlockRange(ns, first << ns.BlockShift, length);
        return NvmeStatus.Success;
    }
}

using System.Diagnostics.CodeAnalysis;

namespace Vfio.Devices.Nvme;

/// <summary>What the commands for zones check alike.</summary>
internal static class ZonedNamespace
{
    /// <summary>Finds the zones of a command's namespace.</summary>
    /// <param name="request">The command.</param>
    /// <param name="ns">The namespace.</param>
    /// <param name="format">Its format.</param>
    /// <param name="zones">Its zones.</param>
    /// <returns>What is wrong: besides what any command can get wrong, that there are no zones, so that there is no such command.</returns>
    public static NvmeStatus TryFind(NvmeRequest request, out NvmeNamespace? ns, out BlockFormat? format, [NotNull] out ZoneTable? zones)
    {
        NvmeStatus status = BlockRange.TryFind(request, out ns, out format);
        zones = ns?.Zones!;
        return ns is { Zones: null } ? request.Refuse(NvmeStatus.InvalidOpcode, location: 0) : status;
    }

    /// <summary>Reads SLBA.</summary>
    /// <param name="request">The command.</param>
    /// <param name="format">The namespace's format.</param>
    /// <param name="offset">The block's first byte.</param>
    public static NvmeStatus TryReadBlock(NvmeRequest request, BlockFormat format, out ulong offset)
    {
        ulong block = request.Command.Dword10 | ((ulong)request.Command.Dword11 << 32);
        request.ErrorBlock = block;
        offset = block << format.BlockShift;
        return block < format.Blocks ? NvmeStatus.Success : request.Refuse(NvmeStatus.LbaOutOfRange, location: 40);
    }
}

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Vfio.Devices.Nvme;

/// <summary>The namespace and the blocks of a command that has SLBA in dwords 10 and 11 and NLB in dword 12.</summary>
[StructLayout(LayoutKind.Auto)]
internal readonly struct BlockRange
{
    public BlockRange(NvmeNamespace ns, BlockFormat format, ulong first, uint count)
    {
        Namespace = ns;
        Format = format;
        First = first;
        Count = count;
    }

    public NvmeNamespace Namespace { get; }

    /// <summary>How the namespace is formatted for as long as the command runs.</summary>
    public BlockFormat Format { get; }

    /// <summary>The first block.</summary>
    public ulong First { get; }

    /// <summary>Number of blocks.</summary>
    public uint Count { get; }

    /// <summary>First byte in the backend.</summary>
    public ulong Offset => First << Format.BlockShift;

    /// <summary>Length of the data in bytes.</summary>
    public long Length => (long)Count << Format.BlockShift;

    /// <summary>Checks what a command names.</summary>
    /// <param name="request">The command.</param>
    /// <param name="transfers">Whether the blocks are transferred or read, so that MDTS or VSL limits them.</param>
    /// <param name="range">The range.</param>
    /// <returns>What is wrong with it.</returns>
    public static NvmeStatus TryCreate(NvmeRequest request, bool transfers, out BlockRange range)
    {
        range = default;
        ref readonly NvmeCommand command = ref request.Command;
        NvmeStatus status = TryFind(request, out NvmeNamespace? ns, out BlockFormat? format);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        ulong first = command.Dword10 | ((ulong)command.Dword11 << 32);
        uint count = (command.Dword12 & 0xFFFF) + 1;
        request.ErrorBlock = first;

        // MDTS counts metadata that is behind the data.
        long length = (long)count << format!.BlockShift;
        if (transfers && length + (format.IsExtended ? count * format.MetadataLength : 0) > ControllerCapabilities.MaxTransfer)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 48);
        }

        if (first >= format.Blocks || count > format.Blocks - first)
        {
            return request.Refuse(NvmeStatus.LbaOutOfRange, location: 40);
        }

        if (format.Protection != 0 && !new ProtectionTags(command).AreValid(format, first))
        {
            return request.Refuse(NvmeStatus.InvalidProtectionInformation, location: 56);
        }

        range = new BlockRange(ns!, format, first, count);
        return NvmeStatus.Success;
    }

    /// <summary>Finds the namespace of a command.</summary>
    /// <param name="request">The command.</param>
    /// <param name="ns">The namespace.</param>
    /// <param name="format">Its format.</param>
    /// <returns>What is wrong with it: there is none, it is not attached, or a format runs.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NvmeStatus TryFind(NvmeRequest request, out NvmeNamespace? ns, out BlockFormat? format)
    {
        format = null;
        ns = request.Controller.FindNamespace(request.Command.NamespaceId);
        if (ns is null)
        {
            return request.RefuseNamespace();
        }

        format = ns.Format;
        return format is null ? NvmeStatus.FormatInProgress : NvmeStatus.Success;
    }

    /// <summary>Whether Write Uncorrectable has made a block of the range unreadable, of which the error log gets the first; or a zone cannot be read.</summary>
    public NvmeStatus CheckReadable(NvmeRequest request) => Namespace.Zones is null && Namespace.Unreadable.IsEmpty ? NvmeStatus.Success : FindUnreadable(request);

    /// <summary>The blocks are about to be written: in zones that takes their place. <see cref="EndWrite"/> must follow after success. The caller is in the namespace's gate.</summary>
    public NvmeStatus BeginWrite() => Namespace.Zones is { } zones ? zones.BeginWrite(Offset, (ulong)Length) : NvmeStatus.Success;

    /// <summary>The blocks were written, or not.</summary>
    /// <returns>What the command gets: <paramref name="status"/>, or why the zone's new state cannot be kept.</returns>
    public NvmeStatus EndWrite(NvmeStatus status) => Namespace.Zones is { } zones ? zones.EndWrite(Offset, (ulong)Length, status) : status;

    /// <summary>Blocks were written: they can be read again.</summary>
    public void MakeReadable()
    {
        if (!Namespace.Unreadable.IsEmpty)
        {
            Namespace.Unreadable.Mark(Offset, (ulong)Length, unreadable: false);
        }
    }

    private NvmeStatus FindUnreadable(NvmeRequest request)
    {
        if (Namespace.Zones is { } zones && zones.CheckReadable(Offset, (ulong)Length) is not NvmeStatus.Success and var status)
        {
            return status;
        }

        if (!Namespace.Unreadable.TryFind(Offset, (ulong)Length, out ulong found))
        {
            return NvmeStatus.Success;
        }

        request.ErrorBlock = found >> Format.BlockShift;
        return NvmeStatus.UnrecoveredRead;
    }
}

using Vfio.Abi;

namespace Vfio.Drivers.Nvme;

/// <summary>A namespace: numbered blocks of one size.</summary>
/// <remarks>
/// Members may be called from several threads. The order of operations that are under way at once is not defined, also on the same blocks: await
/// one before the next that must follow it.
/// </remarks>
public sealed partial class NvmeNamespace
{
    /// <summary>Blocks of one command: its field has 16 bits, less one.</summary>
    private const uint MaximumBlocksOfCommand = 1 << 16;

    private readonly NvmeController _controller;
    private readonly int _blockShift;
    private readonly uint _maximumBlocks;

    internal NvmeNamespace(NvmeController controller, uint id, NvmeNamespaceIdentity identity, NvmeNamespaceDescriptors descriptors, string? problem = null)
    {
        _controller = controller;
        Id = id;
        Identity = identity;
        Descriptors = descriptors;
        Problem = problem ?? FindProblem();
        if (Problem is null)
        {
            _blockShift = identity.Format.DataShift;
            _maximumBlocks = Math.Min((uint)controller.MaximumTransfer >> _blockShift, MaximumBlocksOfCommand);
        }
    }

    /// <summary>The namespace identifier (NSID).</summary>
    public uint Id { get; }

    /// <summary>What the device says of it.</summary>
    public NvmeNamespaceIdentity Identity { get; }

    /// <summary>Its lasting identifiers.</summary>
    public NvmeNamespaceDescriptors Descriptors { get; }

    /// <summary>Why it cannot be read or written by this driver, as a sentence; null when it can.</summary>
    public string? Problem { get; }

    /// <summary>Size in blocks.</summary>
    public ulong BlockCount => Identity.Size;

    /// <summary>Bytes of a block; 0 when it cannot be used.</summary>
    public int BlockSize => Problem is null ? 1 << _blockShift : 0;

    /// <summary>Whether writes are refused: by the options, or because the namespace is write protected.</summary>
    public bool IsReadOnly => !_controller.Options.AllowWrites || Identity.IsWriteProtected;

    private string? FindProblem()
    {
        NvmeLbaFormat format = Identity.Format;
        if (Descriptors.CommandSet is not (null or 0))
        {
            return $"It belongs to command set {Descriptors.CommandSet}; this driver does the NVM command set (0).";
        }

        if (Identity.Size == 0)
        {
            return "It has no blocks.";
        }

        if (format.BlockSize == 0)
        {
            return $"Its format {Identity.FormatIndex} has blocks of 2^{format.DataShift} bytes; 512 to 65536 are supported.";
        }

        if (format.MetadataSize != 0)
        {
            return $"Its format {Identity.FormatIndex} has {format.MetadataSize} bytes of metadata with each block, which this driver does not transfer; without them data would be lost or in the wrong place.";
        }

        if (Identity.ProtectionType != 0)
        {
            return $"It has end-to-end protection of type {Identity.ProtectionType}, which this driver does not compute or check.";
        }

        return format.BlockSize > _controller.MaximumTransfer
            ? $"Its blocks have {format.BlockSize} bytes, and the controller transfers {_controller.MaximumTransfer} at most."
            : Identity.Size > ulong.MaxValue >> format.DataShift ? $"It claims 0x{Identity.Size:x} blocks, which have more bytes than 64 bits count." : null;
    }

    private void CheckUsable(string verb)
    {
        if (Problem is not null)
        {
            throw new VfioException(Errno.EOPNOTSUPP, $"{verb} namespace {Id} of {_controller.Address}", Problem);
        }
    }

    private void CheckWritable(string verb)
    {
        CheckUsable(verb);
        if (IsReadOnly)
        {
            throw new VfioException(
                Errno.EROFS,
                $"{verb} namespace {Id} of {_controller.Address}",
                Identity.IsWriteProtected ? "The namespace is write protected." : $"The controller was opened read-only; set {nameof(NvmeOptions)}.{nameof(NvmeOptions.AllowWrites)}.");
        }
    }

    private void CheckRange(ulong block, ulong count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(block, BlockCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, BlockCount - block);
    }
}

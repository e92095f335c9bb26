using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Devices.Nvme;

/// <summary>
/// The command that a submission queue executes, and the buffers for it. One for each queue identifier, used again for every command,
/// so that executing allocates nothing.
/// </summary>
internal sealed class NvmeRequest(NvmeController controller)
{
    /// <summary>Data that cannot be moved between host and backend directly goes through this many bytes at a time.</summary>
    public const int BounceLength = 64 * 1024;

    private static readonly byte[] s_zeros = new byte[4096];
    private byte[]? _bounce;

    public NvmeController Controller => controller;

    public DmaSpace Dma => controller.Dma;

    /// <summary>The queue that executes.</summary>
    public SubmissionQueue Queue { get; set; } = null!;

    /// <summary>The command, copied from the host's memory once.</summary>
    public NvmeCommand Command;

    /// <summary>Commands that were fetched together.</summary>
    public NvmeCommand[] Batch { get; } = new NvmeCommand[NvmeController.BatchLength];

    /// <summary>Dword 0 of the completion.</summary>
    public uint Result { get; set; }

    /// <summary>Dword 1 of the completion.</summary>
    public uint Result1 { get; set; }

    /// <summary>Where in the command the mistake is: byte in bits 7:0, bit in 10:8; 0xFFFF for nowhere (NVMe Base 2.0 §5.16.1.2).</summary>
    public ushort ErrorLocation { get; private set; }

    /// <summary>The LBA of a failing I/O command.</summary>
    public ulong ErrorBlock { get; set; }

    /// <summary>Where the command's data is in the host's memory.</summary>
    public DataPointer Data { get; } = new(controller.Dma);

    /// <summary>A page for what admin commands answer and take.</summary>
    public byte[] Page { get; } = new byte[4096];

    /// <summary>The buffer between the host and a backend that waits.</summary>
    public Span<byte> Bounce => _bounce ??= new byte[BounceLength];

    /// <summary>Begins a command.</summary>
    public void Begin(in NvmeCommand command)
    {
        Command = command;
        Result = 0;
        Result1 = 0;
        ErrorLocation = ushort.MaxValue;
        ErrorBlock = 0;
    }

    /// <summary>Refuses the command for the content of one of its fields.</summary>
    /// <param name="status">Why.</param>
    /// <param name="location">The field's first byte in the entry.</param>
    /// <param name="bit">The field's first bit in that byte.</param>
    /// <returns><paramref name="status"/>.</returns>
    public NvmeStatus Refuse(NvmeStatus status, int location, int bit = 0)
    {
        ErrorLocation = (ushort)(location | (bit << 8));
        return status;
    }

    /// <summary>Copies an admin command's answer to the host.</summary>
    public NvmeStatus WriteToHost(ReadOnlySpan<byte> source) => WriteToHost(source, source.Length);

    /// <summary>Copies an admin command's answer to the host: a length that may differ from what there is. What is missing are zeros.</summary>
    public NvmeStatus WriteToHost(ReadOnlySpan<byte> source, long length)
    {
        NvmeStatus status = Data.Begin(Command, length, controller.PageSize);
        while (status == NvmeStatus.Success && length != 0)
        {
            ReadOnlySpan<byte> piece = source.IsEmpty ? s_zeros : source;
            status = Data.Next((int)Math.Min(length, piece.Length), out ulong iova, out int count, out bool isBucket);
            if (status == NvmeStatus.Success)
            {
                status = isBucket ? status : Transferred(Queue.IsClosed ? Errno.EINTR : Dma.Write(iova, piece[..count]));
                source = source[Math.Min(count, source.Length)..];
                length -= count;
            }
        }

        return status;
    }

    /// <summary>Copies a command's data from the host.</summary>
    public NvmeStatus ReadFromHost(Span<byte> destination)
    {
        NvmeStatus status = Data.Begin(Command, destination.Length, controller.PageSize);
        while (status == NvmeStatus.Success && !destination.IsEmpty)
        {
            status = Data.Next(destination.Length, out ulong iova, out int count, out bool isBucket);
            if (status == NvmeStatus.Success)
            {
                // A bit bucket is for what the host does not want; as a source it makes no sense.
                status = isBucket ? NvmeStatus.SglTypeInvalid : Transferred(Queue.IsClosed ? Errno.EINTR : Dma.Read(iova, destination[..count]));
                destination = destination[count..];
            }
        }

        return status;
    }

    /// <summary>What a command answers for what memory answered.</summary>
    public static NvmeStatus Transferred(Errno error) => error == Errno.None ? NvmeStatus.Success : NvmeStatus.DataTransferError;
}

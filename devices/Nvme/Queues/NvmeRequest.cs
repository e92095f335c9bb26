namespace Vfio.Devices.Nvme;

/// <summary>
/// The command that a submission queue executes, and the buffers for it. One for each queue identifier, used again for every command,
/// so that executing allocates nothing.
/// </summary>
internal sealed class NvmeRequest
{
    /// <summary>Data that cannot be moved between host and backend directly goes through this many bytes at a time.</summary>
    public const int BounceLength = 64 * 1024;

    private static readonly byte[] s_zeros = new byte[4096];
    private readonly NvmeController _controller;
    private readonly IoStatistics? _statistics;
    private Memory<byte> _bounce;
    private byte[]? _tuples;
    private Memory<byte> _copy;

    /// <param name="controller">The controller.</param>
    /// <param name="statistics">Where this request counts; null for the queue's, which one thread counts in at a time.</param>
    public NvmeRequest(NvmeController controller, IoStatistics? statistics = null)
    {
        _controller = controller;
        _statistics = statistics;
        Host = new HostLane(controller);
        Data = new DataPointer(Host);
        Metadata = new DataPointer(Host);
    }

    public NvmeController Controller => _controller;

    /// <summary>The way to the host's memory.</summary>
    public HostLane Host { get; }

    /// <summary>The queue that executes.</summary>
    public SubmissionQueue Queue { get; private set; } = null!;

    /// <summary>Where what is done is counted.</summary>
    public IoStatistics Statistics { get; private set; } = null!;

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
    public DataPointer Data { get; }

    /// <summary>Where the command's metadata is, when it is not behind the data.</summary>
    public DataPointer Metadata { get; }

    /// <summary>A page for what admin commands answer and take.</summary>
    public byte[] Page { get; } = new byte[4096];

    /// <summary>The buffer between the host and a backend that waits. It is aligned, so that backends that pass by the page cache need none of their own.</summary>
    public Span<byte> Bounce
    {
        get
        {
            if (_bounce.IsEmpty)
            {
                _bounce = AlignedBuffers.Make(BounceLength);
            }

            return _bounce.Span;
        }
    }

    /// <summary>The metadata of the blocks in <see cref="Bounce"/>, twice.</summary>
    public Span<byte> Tuples => _tuples ??= new byte[2 * (BounceLength >> 9) * BlockFormat.TupleLength];

    /// <summary>What a Copy takes from one place to another: data of <see cref="CopyCommand.MaxLength"/> bytes, and its metadata.</summary>
    public Span<byte> CopyBuffer
    {
        get
        {
            if (_copy.IsEmpty)
            {
                _copy = AlignedBuffers.Make(CopyCommand.MaxLength + ((CopyCommand.MaxLength >> 9) * BlockFormat.TupleLength));
            }

            return _copy.Span;
        }
    }

    /// <summary>The queue that commands come from now on. Its turn is held.</summary>
    public void Serve(SubmissionQueue queue)
    {
        Queue = queue;
        Statistics = _statistics ?? queue.Statistics;
        Host.Queue = queue;
    }

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

    /// <summary>Refuses the command because no attached namespace has its NSID: an inactive identifier is a wrong field, another an invalid one (NVMe Base 2.0 §3.2.1).</summary>
    public NvmeStatus RefuseNamespace()
        => Refuse(NvmeController.IsValidNamespace(Command.NamespaceId) ? NvmeStatus.InvalidField : NvmeStatus.InvalidNamespace, location: 4);

    /// <summary>Copies an admin command's answer to the host.</summary>
    public NvmeStatus WriteToHost(ReadOnlySpan<byte> source) => WriteToHost(source, source.Length);

    /// <summary>Copies an admin command's answer to the host: a length that may differ from what there is. What is missing are zeros.</summary>
    public NvmeStatus WriteToHost(ReadOnlySpan<byte> source, long length)
    {
        NvmeStatus status = Data.Begin(Command, length, _controller.PageSize);
        while (status == NvmeStatus.Success && length != 0)
        {
            ReadOnlySpan<byte> piece = source.IsEmpty ? s_zeros : source;
            piece = piece[..(int)Math.Min(length, piece.Length)];
            status = Data.Write(piece);
            source = source[Math.Min(piece.Length, source.Length)..];
            length -= piece.Length;
        }

        return status;
    }

    /// <summary>Copies a command's data from the host.</summary>
    public NvmeStatus ReadFromHost(Span<byte> destination)
    {
        NvmeStatus status = Data.Begin(Command, destination.Length, _controller.PageSize);
        return status == NvmeStatus.Success ? Data.Read(destination) : status;
    }
}

namespace Vfio.Devices.Nvme;

/// <summary>A completion (NVMe Base 2.0 §3.3.3.2), but for its phase, which its place in the ring gives it.</summary>
/// <param name="Low">Dwords 0 and 1.</param>
/// <param name="High">Dwords 2 and 3, with a phase of 0.</param>
internal readonly record struct CompletionEntry(ulong Low, ulong High)
{
    private const ulong Phase = 1UL << 48;

    /// <param name="dword0">What the command answers.</param>
    /// <param name="dword1">The same, further.</param>
    /// <param name="submissionHead">How far commands have been taken from the submission queue.</param>
    /// <param name="submissionQueue">The submission queue.</param>
    /// <param name="commandId">The command.</param>
    /// <param name="status">What became of it.</param>
    public CompletionEntry(uint dword0, uint dword1, uint submissionHead, int submissionQueue, ushort commandId, NvmeStatus status)
        : this(
            dword0 | ((ulong)dword1 << 32),
            (ushort)submissionHead | ((ulong)submissionQueue << 16) | ((ulong)commandId << 32) | ((ulong)(uint)(status.ToField() << 1) << 48))
    {
    }

    /// <summary>Dwords 2 and 3 as the host sees them.</summary>
    public ulong HighWith(bool phase) => phase ? High | Phase : High;
}

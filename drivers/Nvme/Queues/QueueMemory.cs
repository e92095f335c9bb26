using System.Runtime.InteropServices;

namespace Vfio.Drivers.Nvme;

/// <summary>The memory of a queue pair: both rings, and room for each command's PRP list or range, in one DMA buffer.</summary>
internal sealed class QueueMemory : IDisposable
{
    private const int CompletionLength = 16;
    private const int MinimumListLength = 64;
    private readonly DmaBuffer _buffer;
    private readonly nuint _submission;
    private readonly nuint _completion;
    private readonly nuint _lists;
    private readonly int _listLength;
    private readonly int _depth;

    public QueueMemory(VfioConnection connection, int depth, int slots, int listEntries, int pageShift)
    {
        ulong page = 1UL << pageShift;
        _depth = depth;

        // A power of two up to a page, so that no list crosses one.
        _listLength = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(MinimumListLength, listEntries * sizeof(ulong)));
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)_listLength, page, nameof(listEntries));
        ulong submissionLength = RoundUp((ulong)depth * SubmissionEntry.Length, page);
        ulong completionLength = RoundUp((ulong)depth * CompletionLength, page);

        // DMA addresses are multiples of 4096; the room for a larger page's alignment is added.
        _buffer = connection.AllocateDma((nuint)(submissionLength + completionLength + (ulong)((long)slots * _listLength) + page - 4096));
        _submission = (nuint)(RoundUp(_buffer.Iova, page) - _buffer.Iova);
        _completion = _submission + (nuint)submissionLength;
        _lists = _completion + (nuint)completionLength;
    }

    public ulong SubmissionIova => _buffer.Iova + _submission;

    public ulong CompletionIova => _buffer.Iova + _completion;

    public ref SubmissionEntry Submission(int index)
        => ref MemoryMarshal.AsRef<SubmissionEntry>(_buffer.Slice(_submission + (nuint)(index * SubmissionEntry.Length), SubmissionEntry.Length));

    /// <summary>The four dwords of a completion.</summary>
    public Span<uint> Completion(int index) => MemoryMarshal.Cast<byte, uint>(_buffer.Slice(_completion + (nuint)(index * CompletionLength), CompletionLength));

    /// <summary>A command's own room for a list.</summary>
    public Span<ulong> List(int slot) => MemoryMarshal.Cast<byte, ulong>(_buffer.Slice(_lists + (nuint)(slot * _listLength), _listLength));

    public ulong ListIova(int slot) => _buffer.Iova + _lists + (ulong)(slot * _listLength);

    /// <summary>Clears the completion ring, as it must be before the controller uses it: the phase tags are 0.</summary>
    public void ClearCompletions() => _buffer.Slice(_completion, _depth * CompletionLength).Clear();

    public void Dispose() => _buffer.Dispose();

    private static ulong RoundUp(ulong value, ulong unit) => (value + unit - 1) & ~(unit - 1);
}

using System.Runtime.InteropServices;

namespace Vfio.Devices.Dsa;

/// <summary>What software finds at the completion address (DSA 1.0 §8.2).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CompletionRecord
{
    public const int Length = 32;

    /// <summary>Set in the status when the access that failed was a write.</summary>
    public const byte FaultWasWrite = 0x80;

    /// <summary>The status, written last.</summary>
    public byte Status;

    /// <summary>Of comparisons 1 for a difference; of deltas 1 for a record, 2 for one that would not fit; of moves 1 when they went backwards.</summary>
    public byte Result;

    public ushort Reserved;

    /// <summary>Bytes, or of a batch descriptors, that were done.</summary>
    public uint Completed;

    public ulong FaultAddress;

    /// <summary>The CRC, the size of a delta record, or the flags that are not allowed.</summary>
    public ulong Value;

    public ulong Reserved2;

    public CompletionStatus Code
    {
        readonly get => (CompletionStatus)(Status & ~FaultWasWrite);
        set => Status = (byte)value;
    }

    public readonly bool IsError => Code is not (CompletionStatus.Success or CompletionStatus.SuccessUnexpected);

    /// <summary>An address could not be reached.</summary>
    public void Fault(ulong address, bool writes)
    {
        Status = (byte)((byte)CompletionStatus.TranslationFailed | (writes ? FaultWasWrite : 0));
        FaultAddress = address;
    }
}

using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.Devices.Dsa;

/// <summary>Executes descriptors of one work queue: checks them, does what they say, and writes their completion records.</summary>
/// <remarks>Without the device's lock, as DMA may have to wait. What needs it is in the <see cref="Outcome"/>.</remarks>
internal sealed class DescriptorExecutor(DsaDevice device, WorkQueue queue)
{
    private const int SmallestBatch = 2;
    private const uint LongestDelta = 0x8_0000;
    private const uint SmallestDeltaRecord = 80;
    private const uint DeltaEntry = 10;
    private readonly MemoryOperations _memory = new(device, queue);

    /// <summary>Executes one that came through a portal.</summary>
    /// <param name="descriptor">The descriptor.</param>
    /// <param name="longestTransfer">The work queue's limit in bytes.</param>
    /// <param name="longestBatch">The work queue's limit in descriptors.</param>
    public Outcome Execute(in DsaDescriptor descriptor, ulong longestTransfer, uint longestBatch)
        => Execute(in descriptor, longestTransfer, longestBatch, batchIndex: -1);

    private Outcome Execute(in DsaDescriptor descriptor, ulong longestTransfer, uint longestBatch, int batchIndex)
    {
        CompletionRecord record = default;
        record.Code = Check(in descriptor, longestTransfer, longestBatch, batchIndex >= 0, ref record);
        Outcome outcome = default;
        if (record.Code == CompletionStatus.None)
        {
            record.Code = CompletionStatus.Success;
            if (descriptor.Opcode == DsaOpcode.Batch)
            {
                ExecuteBatch(in descriptor, longestTransfer, ref record, ref outcome);
            }
            else
            {
                Operate(in descriptor, ref record);
            }
        }

        if (queue.IsAbandoned)
        {
            return default;
        }

        // A descriptor that was refused may name any handle.
        bool interrupts = (descriptor.Flags & DescriptorFlags.RequestInterrupt) != 0 && IsHandle(descriptor.InterruptHandle);
        bool hasAddress = (descriptor.Flags & DescriptorFlags.CompletionAddressValid) != 0;
        bool wants = record.IsError || record.Code == CompletionStatus.SuccessUnexpected || (descriptor.Flags & DescriptorFlags.RequestCompletion) != 0;
        CompletionStatus failure = record.IsError && !hasAddress ? record.Code : CompletionStatus.None;
        if (hasAddress && wants)
        {
            failure = (descriptor.CompletionAddress & (CompletionRecord.Length - 1)) != 0 ? CompletionStatus.CompletionAlignment
                : Write(descriptor.CompletionAddress, in record) ? CompletionStatus.None
                : CompletionStatus.CompletionAddress;
        }

        if (failure != CompletionStatus.None)
        {
            outcome.Error = new SoftwareError
            {
                Error = failure,
                Opcode = descriptor.Opcode,
                BatchIndex = batchIndex,
                FaultAddress = failure is CompletionStatus.CompletionAddress or CompletionStatus.CompletionAlignment ? descriptor.CompletionAddress : record.FaultAddress,
                FaultWasWrite = failure == CompletionStatus.CompletionAddress || (record.Status & CompletionRecord.FaultWasWrite) != 0,
                InvalidFlags = record.Code == CompletionStatus.InvalidFlags ? (uint)record.Value : 0,
            };
        }

        outcome.HasFailed = record.IsError || failure != CompletionStatus.None;
        outcome.Interrupts |= interrupts ? 1u << descriptor.InterruptHandle : 0;
        return outcome;
    }

    private static CompletionStatus Check(in DsaDescriptor descriptor, ulong longestTransfer, uint longestBatch, bool isInBatch, ref CompletionRecord record)
    {
        DescriptorFlags flags = descriptor.Flags;
        DescriptorFlags allowed = DescriptorFlags.Common | descriptor.Opcode switch
        {
            DsaOpcode.MemoryMove or DsaOpcode.Fill or DsaOpcode.Dualcast or DsaOpcode.ApplyDelta => DescriptorFlags.CacheControl,
            DsaOpcode.Compare or DsaOpcode.ComparePattern => DescriptorFlags.CheckResult,
            DsaOpcode.CreateDelta => DescriptorFlags.CheckResult | DescriptorFlags.CacheControl,
            DsaOpcode.CrcGeneration => DescriptorFlags.ReadSeed | DescriptorFlags.BypassInversion,
            DsaOpcode.CopyWithCrc => DescriptorFlags.ReadSeed | DescriptorFlags.BypassInversion | DescriptorFlags.CacheControl,
            _ => DescriptorFlags.None,
        };
        bool isKnown = descriptor.Opcode is <= DsaOpcode.Dualcast or DsaOpcode.CrcGeneration or DsaOpcode.CopyWithCrc or DsaOpcode.CacheFlush;
        if (!isKnown || (isInBatch && descriptor.Opcode == DsaOpcode.Batch))
        {
            return CompletionStatus.BadOpcode;
        }

        DescriptorFlags invalid = flags & ~allowed;
        if ((flags & (DescriptorFlags.RequestCompletion | DescriptorFlags.CompletionAddressValid)) == DescriptorFlags.RequestCompletion)
        {
            invalid |= DescriptorFlags.RequestCompletion;
        }

        if (invalid != DescriptorFlags.None)
        {
            record.Value = (uint)invalid;
            return CompletionStatus.InvalidFlags;
        }

        if (descriptor.HasReserved)
        {
            return CompletionStatus.ReservedNotZero;
        }

        if ((flags & DescriptorFlags.RequestInterrupt) != 0 && !IsHandle(descriptor.InterruptHandle))
        {
            return CompletionStatus.InterruptHandle;
        }

        return descriptor.Opcode switch
        {
            DsaOpcode.Nop or DsaOpcode.Drain => CompletionStatus.None,
            DsaOpcode.Batch => (descriptor.Source & (DsaDescriptor.Length - 1)) != 0 ? CompletionStatus.ListAlignment
                : descriptor.Size < SmallestBatch || descriptor.Size > longestBatch ? CompletionStatus.DescriptorCount
                : CompletionStatus.None,
            _ when descriptor.Size == 0 || descriptor.Size > longestTransfer => CompletionStatus.TransferSize,
            DsaOpcode.CreateDelta => CheckDelta(descriptor.Size, Word32(in descriptor, 8), SmallestDeltaRecord, descriptor.Source | descriptor.Destination | Word64(in descriptor, 0)),
            DsaOpcode.ApplyDelta => CheckDelta(descriptor.Size, Word32(in descriptor, 0), DeltaEntry, descriptor.Source | descriptor.Destination),
            DsaOpcode.Dualcast => CheckDualcast(in descriptor, Word64(in descriptor, 0)),
            DsaOpcode.CopyWithCrc => Overlap(descriptor.Source, descriptor.Destination, descriptor.Size) ? CompletionStatus.Overlap : CompletionStatus.None,
            _ => CompletionStatus.None,
        };
    }

    private static bool IsHandle(ushort handle) => handle is > 0 and < DsaLimits.Vectors;

    private static CompletionStatus CheckDelta(uint size, uint record, uint smallest, ulong addresses)
        => (addresses & 7) != 0 ? CompletionStatus.Alignment
            : (size & 7) != 0 || size > LongestDelta ? CompletionStatus.TransferSize
            : record < smallest || record % DeltaEntry != 0 ? CompletionStatus.DeltaSize
            : CompletionStatus.None;

    private static CompletionStatus CheckDualcast(in DsaDescriptor descriptor, ulong second)
    {
        const ulong PageMask = 4095;
        return ((descriptor.Destination ^ second) & PageMask) != 0 ? CompletionStatus.DualcastAlignment
            : Overlap(descriptor.Source, descriptor.Destination, descriptor.Size) || Overlap(descriptor.Source, second, descriptor.Size)
                || Overlap(descriptor.Destination, second, descriptor.Size) ? CompletionStatus.Overlap
            : CompletionStatus.None;
    }

    private static bool Overlap(ulong one, ulong other, uint size) => unchecked(one - other) < size || unchecked(other - one) < size;

    private void ExecuteBatch(in DsaDescriptor batch, ulong longestTransfer, ref CompletionRecord record, ref Outcome outcome)
    {
        bool hasFailed = false;
        DsaDescriptor descriptor = default;
        for (int i = 0; i < batch.Size; i++)
        {
            ulong address = batch.Source + ((ulong)i * DsaDescriptor.Length);
            if (!_memory.TryRead(address, MemoryMarshal.AsBytes(new Span<DsaDescriptor>(ref descriptor)), false, ref record))
            {
                return;
            }

            // A fence holds back what comes behind a failure.
            if (hasFailed && (descriptor.Flags & DescriptorFlags.Fence) != 0)
            {
                break;
            }

            Outcome one = Execute(in descriptor, longestTransfer, longestBatch: 0, i);
            if (queue.IsAbandoned)
            {
                return;
            }

            hasFailed |= one.HasFailed;
            outcome.Interrupts |= one.Interrupts;
            outcome.Error = outcome.Error.Error == CompletionStatus.None ? one.Error : outcome.Error;
            record.Completed = (uint)i + 1;
        }

        record.Code = hasFailed ? CompletionStatus.BatchFailed : CompletionStatus.Success;
    }

    private void Operate(in DsaDescriptor descriptor, ref CompletionRecord record)
    {
        switch (descriptor.Opcode)
        {
            case DsaOpcode.MemoryMove:
                _memory.Move(in descriptor, ref record);
                break;
            case DsaOpcode.Fill:
                _memory.Fill(in descriptor, ref record);
                break;
            case DsaOpcode.Compare or DsaOpcode.ComparePattern:
                _memory.Compare(in descriptor, descriptor.Opcode == DsaOpcode.ComparePattern, ref record);
                Expect(in descriptor, descriptor.OwnBytes[0], ref record);
                break;
            case DsaOpcode.CreateDelta:
                _memory.CreateDelta(in descriptor, Word64(in descriptor, 0), Word32(in descriptor, 8), ref record);
                ExpectOneOf(in descriptor, descriptor.OwnBytes[16], ref record);
                break;
            case DsaOpcode.ApplyDelta:
                _memory.ApplyDelta(in descriptor, Word32(in descriptor, 0), ref record);
                break;
            case DsaOpcode.Dualcast:
                _memory.MoveTwice(in descriptor, Word64(in descriptor, 0), ref record);
                break;
            case DsaOpcode.CrcGeneration or DsaOpcode.CopyWithCrc:
                Crc(in descriptor, ref record);
                break;
            case DsaOpcode.CacheFlush:
                _memory.Touch(in descriptor, ref record);
                break;
        }
    }

    private void Crc(in DsaDescriptor descriptor, ref CompletionRecord record)
    {
        uint seed = Word32(in descriptor, 0);
        if ((descriptor.Flags & DescriptorFlags.ReadSeed) != 0
            && !_memory.TryRead(Word64(in descriptor, 8), MemoryMarshal.AsBytes(new Span<uint>(ref seed)), false, ref record))
        {
            return;
        }

        uint inversion = (descriptor.Flags & DescriptorFlags.BypassInversion) != 0 ? 0 : uint.MaxValue;
        record.Value = _memory.Crc(in descriptor, seed ^ inversion, descriptor.Opcode == DsaOpcode.CopyWithCrc, ref record) ^ inversion;
    }

    private static void Expect(in DsaDescriptor descriptor, byte expected, ref CompletionRecord record)
    {
        if (!record.IsError && (descriptor.Flags & DescriptorFlags.CheckResult) != 0 && record.Result != (expected & 1))
        {
            record.Code = CompletionStatus.SuccessUnexpected;
        }
    }

    private static void ExpectOneOf(in DsaDescriptor descriptor, byte mask, ref CompletionRecord record)
    {
        if (!record.IsError && (descriptor.Flags & DescriptorFlags.CheckResult) != 0 && (mask & (1 << record.Result)) == 0)
        {
            record.Code = CompletionStatus.SuccessUnexpected;
        }
    }

    /// <summary>The record, its status behind everything else: software waits for that.</summary>
    private bool Write(ulong address, in CompletionRecord record)
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(new ReadOnlySpan<CompletionRecord>(in record));
        return device.Dma.Write(address + sizeof(ulong), bytes[sizeof(ulong)..]) == Errno.None && device.Dma.Write(address, bytes[..sizeof(ulong)]) == Errno.None;
    }

    private static uint Word32(in DsaDescriptor descriptor, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(descriptor.OwnBytes[offset..]);

    private static ulong Word64(in DsaDescriptor descriptor, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(descriptor.OwnBytes[offset..]);
}

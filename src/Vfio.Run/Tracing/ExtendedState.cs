using System.Buffers.Binary;
using System.Runtime.Intrinsics.X86;
using Iced.Intel;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>The extended state of a thread (Intel SDM 1 §13.4), as the processor saves and restores it.</summary>
internal sealed unsafe class ExtendedState : IDisposable
{
    private const int Capacity = 16384;
    private const int LegacyControlWord = 0;
    private const int LegacyMxcsr = 24;
    private const int LegacyMmx = 32;
    private const int LegacyXmm = 160;

    /// <summary>The six masks of exceptions in each of the two control registers.</summary>
    private const ushort ControlWordMasks = 0x3F;
    private const uint MxcsrMasks = 0x1F80;

    private readonly MemoryMapping _memory = MakeMemory();
    private readonly int _ymmHigh = OffsetOf(2);
    private readonly int _opMasks = OffsetOf(5);
    private readonly int _zmmHigh = OffsetOf(6);
    private readonly int _upperZmm = OffsetOf(7);
    private int _length;
    private ushort _controlWord;
    private uint _mxcsr;

    /// <summary>Where it is, aligned to 64 bytes.</summary>
    internal nint Address => (nint)_memory.Pointer;

    private Span<byte> Bytes => new(_memory.Pointer, Capacity);

    public void Dispose() => _memory.Dispose();

    /// <summary>Takes the state of a stopped thread. Exceptions of the floating-point units are masked in it until <see cref="Put"/>.</summary>
    internal Errno Take(int threadId)
    {
        Errno error = ThreadTracing.ReadExtended(threadId, Bytes, out _length);
        if (error == Errno.None)
        {
            _controlWord = BinaryPrimitives.ReadUInt16LittleEndian(Bytes[LegacyControlWord..]);
            _mxcsr = BinaryPrimitives.ReadUInt32LittleEndian(Bytes[LegacyMxcsr..]);
            BinaryPrimitives.WriteUInt16LittleEndian(Bytes[LegacyControlWord..], (ushort)(_controlWord | ControlWordMasks));
            BinaryPrimitives.WriteUInt32LittleEndian(Bytes[LegacyMxcsr..], _mxcsr | MxcsrMasks);
        }

        return error;
    }

    /// <summary>Gives the state back to the thread it was taken from.</summary>
    internal Errno Put(int threadId)
    {
        uint mxcsr = BinaryPrimitives.ReadUInt32LittleEndian(Bytes[LegacyMxcsr..]);
        ushort controlWord = BinaryPrimitives.ReadUInt16LittleEndian(Bytes[LegacyControlWord..]);
        BinaryPrimitives.WriteUInt32LittleEndian(Bytes[LegacyMxcsr..], (mxcsr & ~MxcsrMasks) | (_mxcsr & MxcsrMasks));
        BinaryPrimitives.WriteUInt16LittleEndian(
            Bytes[LegacyControlWord..], (ushort)((controlWord & ~ControlWordMasks) | (_controlWord & ControlWordMasks)));
        return ThreadTracing.WriteExtended(threadId, Bytes[.._length]);
    }

    /// <summary>An opmask register.</summary>
    internal ulong OpMask(Register register) => BinaryPrimitives.ReadUInt64LittleEndian(Bytes[(_opMasks + ((register - Register.K0) * 8))..]);

    /// <summary>Copies the eight bytes of an MMX register.</summary>
    internal void CopyMmx(Register register, Span<byte> destination) =>
        Bytes.Slice(LegacyMmx + (RotatedMmx(register) * 16), 8).CopyTo(destination);

    /// <summary>Copies the first bytes of a vector register, at most 64.</summary>
    internal void CopyVector(Register register, Span<byte> destination)
    {
        int number = NumberOf(register);
        if (number >= 16)
        {
            Bytes.Slice(_upperZmm + ((number - 16) * 64), destination.Length).CopyTo(destination);
            return;
        }

        CopyPart(LegacyXmm + (number * 16), 16, destination);
        if (destination.Length > 16)
        {
            CopyPart(_ymmHigh + (number * 16), 16, destination[16..]);
        }

        if (destination.Length > 32)
        {
            CopyPart(_zmmHigh + (number * 32), 32, destination[32..]);
        }
    }

    private void CopyPart(int offset, int length, Span<byte> destination) =>
        Bytes.Slice(offset, Math.Min(length, destination.Length)).CopyTo(destination);

    private static MemoryMapping MakeMemory()
    {
        MemoryMapping.TryMapAnonymous(Capacity, MemoryProtection.ReadWrite, out MemoryMapping? memory).ThrowIfError("map memory for vector registers");
        return memory!;
    }

    private static int NumberOf(Register register) => register switch
    {
        >= Register.XMM0 and <= Register.XMM31 => register - Register.XMM0,
        >= Register.YMM0 and <= Register.YMM31 => register - Register.YMM0,
        _ => register - Register.ZMM0,
    };

    /// <summary>The state has the stack's order, and MMX registers are the physical ones.</summary>
    private int RotatedMmx(Register register)
    {
        int top = (BinaryPrimitives.ReadUInt16LittleEndian(Bytes[2..]) >> 11) & 7;
        return (register - Register.MM0 - top) & 7;
    }

    /// <summary>Where the standard format has a component (Intel SDM 2A, CPUID leaf 0DH); 0 when the processor does not have it.</summary>
    private static int OffsetOf(int component) => X86Base.CpuId(0, 0).Eax < 0xD ? 0 : X86Base.CpuId(0xD, component).Ebx;
}

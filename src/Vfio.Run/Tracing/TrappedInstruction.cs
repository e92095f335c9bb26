using System.Runtime.CompilerServices;
using Iced.Intel;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>An instruction as it was decoded once, with all that each execution needs.</summary>
internal sealed class TrappedInstruction
{
    /// <summary>The longest instruction, in bytes.</summary>
    internal const int MaximumLength = 15;

    /// <summary>No register, where a number of one stands.</summary>
    internal const int NoRegister = -1;

    private static readonly int[] s_slots = [10, 11, 12, 5, 19, 4, 13, 14, 9, 8, 7, 6, 3, 2, 1, 0];

    internal required Instruction Instruction { get; init; }

    internal required byte[] Bytes { get; init; }

    internal InstructionKind Kind { get; init; }

    /// <summary>For <see cref="InstructionKind.Refused"/>.</summary>
    internal string? Refusal { get; init; }

    /// <summary>Length of the operand in bytes.</summary>
    internal int Size { get; init; }

    internal bool Reads { get; init; }

    internal bool Writes { get; init; }

    /// <summary>Whether it takes or changes more than the general registers.</summary>
    internal bool IsExtended { get; init; }

    /// <summary>Whether a divisor must be looked at first.</summary>
    internal bool Divides { get; init; }

    internal MaskKind Mask { get; init; }

    internal Register MaskRegister { get; init; }

    internal int ElementSize { get; init; }

    /// <summary>The register (0…15) that the executed form has for an address.</summary>
    internal int Scratch { get; init; } = NoRegister;

    /// <summary>The register that stands for RSP in the executed form.</summary>
    internal int StackSubstitute { get; init; } = NoRegister;

    /// <summary>The register with the bit's offset, for bt, bts, btr and btc.</summary>
    internal int BitOffset { get; init; } = NoRegister;

    /// <summary>The executed form.</summary>
    internal nint Code { get; set; }

    private int Base { get; init; } = NoRegister;

    private int Index { get; init; } = NoRegister;

    private int Scale { get; init; }

    private ulong Displacement { get; init; }

    private Register Segment { get; init; }

    private bool IsNarrow { get; init; }

    /// <summary>A general register, 0…15 as the processor counts.</summary>
    internal static ref ulong Slot(ref ThreadRegisters registers, int number) => ref Unsafe.Add(ref registers.R15, s_slots[number]);

    /// <summary>The place of a register in the structure, in bytes.</summary>
    internal static int SlotOffset(int number) => s_slots[number] * sizeof(ulong);

    /// <summary>Makes the instruction, with what its address is composed of.</summary>
    internal static TrappedInstruction Create(in Instruction instruction, byte[] bytes, InstructionForm form) => new()
    {
        Instruction = instruction,
        Bytes = bytes,
        Kind = form.Kind,
        Refusal = form.Refusal,
        Size = form.Size,
        Reads = form.Reads,
        Writes = form.Writes,
        IsExtended = form.IsExtended,
        Divides = instruction.Mnemonic is Mnemonic.Div or Mnemonic.Idiv,
        Mask = form.Mask,
        MaskRegister = form.MaskRegister,
        ElementSize = form.ElementSize,
        Scratch = form.Scratch,
        StackSubstitute = form.StackSubstitute,
        BitOffset = form.BitOffset,
        Base = NumberOf(form.AddressBase),
        Index = NumberOf(form.AddressIndex),
        Scale = instruction.MemoryIndexScale,
        Displacement = form.Displacement,
        Segment = instruction.MemorySegment,
        IsNarrow = form.AddressBase.IsGPR32() || form.AddressIndex.IsGPR32(),
    };

    /// <summary>The instruction and its bytes.</summary>
    public override string ToString()
    {
        StringOutput output = new();
        new MasmFormatter().Format(Instruction, output);
        return $"{output.ToStringAndReset()} ({Convert.ToHexString(Bytes)})";
    }

    /// <summary>The address of its operand.</summary>
    internal ulong AddressOf(ref ThreadRegisters registers)
    {
        ulong address = Displacement;
        if (Base != NoRegister)
        {
            address += Slot(ref registers, Base);
        }

        if (Index != NoRegister)
        {
            address += Slot(ref registers, Index) * (ulong)Scale;
        }

        if (BitOffset != NoRegister)
        {
            address += BitDistance(ref registers);
        }

        return Locate(ref registers, Segment, IsNarrow ? (uint)address : address);
    }

    /// <summary>An address in a segment: only FS and GS have a base.</summary>
    internal static ulong Locate(ref ThreadRegisters registers, Register segment, ulong address) => segment switch
    {
        Register.FS => address + registers.FsBase,
        Register.GS => address + registers.GsBase,
        _ => address,
    };

    /// <summary>How far from its operand's address a bit's word is (Intel SDM 2 §3.1.1.9).</summary>
    internal ulong BitDistance(ref ThreadRegisters registers)
    {
        ulong value = Slot(ref registers, BitOffset);
        return Size switch
        {
            2 => (ulong)(((short)value >> 4) * 2L),
            4 => (ulong)(((int)value >> 5) * 4L),
            _ => (ulong)(((long)value >> 6) * 8L),
        };
    }

    /// <summary>The processor's number of a general register of any width; <see cref="NoRegister"/> for others.</summary>
    internal static int NumberOf(Register register)
    {
        Register full = register.GetFullRegister();
        return full is >= Register.RAX and <= Register.R15 ? full - Register.RAX : NoRegister;
    }
}

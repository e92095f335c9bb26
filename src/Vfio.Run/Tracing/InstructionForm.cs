using Iced.Intel;

namespace Vfio.Run;

/// <summary>What <see cref="InstructionAnalysis"/> found out about an instruction.</summary>
internal sealed record InstructionForm(InstructionKind Kind)
{
    internal string? Refusal { get; init; }

    internal int Size { get; init; }

    internal bool Reads { get; init; }

    internal bool Writes { get; init; }

    internal bool IsExtended { get; init; }

    internal MaskKind Mask { get; init; }

    internal Register MaskRegister { get; init; }

    internal int ElementSize { get; init; }

    internal int Scratch { get; init; } = TrappedInstruction.NoRegister;

    internal int StackSubstitute { get; init; } = TrappedInstruction.NoRegister;

    internal int BitOffset { get; init; } = TrappedInstruction.NoRegister;

    internal Register AddressBase { get; init; }

    internal Register AddressIndex { get; init; }

    internal ulong Displacement { get; init; }

    /// <summary>What the processor is given to execute.</summary>
    internal Instruction Executed { get; init; }

    internal static InstructionForm Refuse(string reason) => new(InstructionKind.Refused) { Refusal = reason };
}

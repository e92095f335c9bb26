namespace Vfio.Run;

/// <summary>How an instruction that accesses trapped memory is done.</summary>
internal enum InstructionKind
{
    /// <summary>Not at all; <see cref="TrappedInstruction.Refusal"/> says why.</summary>
    Refused,

    /// <summary>By the processor itself, on a copy of the operand.</summary>
    Executed,

    /// <summary>A hint to caches, which nothing is lost without.</summary>
    Nothing,

    /// <summary>push of a memory operand.</summary>
    Push,

    /// <summary>pop to a memory operand.</summary>
    Pop,

    /// <summary>call through a memory operand.</summary>
    Call,

    /// <summary>jmp through a memory operand.</summary>
    Jump,

    /// <summary>movs, stos, lods, cmps or scas, repeated or not.</summary>
    String,

    /// <summary>movdir64b, enqcmd or enqcmds.</summary>
    DirectStore,

    /// <summary>movdiri.</summary>
    DirectStoreOfRegister,
}

using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Iced.Intel;
using Vfio.Linux;
using static Iced.Intel.AssemblerRegisters;

namespace Vfio.Run;

/// <summary>
/// Has the processor execute single instructions of a program in this process: with the program's registers, and with an operand in memory that the tracer
/// filled. What an instruction does is thereby right by construction, flags and rounding included, and nothing is put into the program.
/// </summary>
/// <remarks>
/// Only instructions that <see cref="InstructionAnalysis"/> lets through may come here: one operand in memory, no control flow, no stack, no privilege.
/// They have been executed by the processor up to the access of their operand, so it knows them, and operands have the alignment they need.
/// </remarks>
internal sealed unsafe class InstructionExecutor : IDisposable
{
    private const int SlotLength = 512;
    private const int Slots = 1024;

    /// <summary>x87, SSE, AVX, and the three components of AVX-512.</summary>
    private const int Components = 0xE7;

    private static readonly AssemblerRegister64[] s_saved = [rbx, rbp, r12, r13, r14, r15];

    private static readonly AssemblerRegister64[] s_registers =
        [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15];

    private readonly MemoryMapping _memory;
    private int _next;

    /// <summary>Makes an executor without any instruction.</summary>
    /// <exception cref="LinuxException">The system gives no memory that is writable and executable.</exception>
    internal InstructionExecutor()
    {
        MemoryMapping.TryMapAnonymous(SlotLength * Slots, MemoryProtection.ReadWrite | MemoryProtection.Execute, out MemoryMapping? memory)
            .ThrowIfError("map memory for instructions, writable and executable");
        _memory = memory!;
    }

    /// <summary>Whether no further instruction fits.</summary>
    internal bool IsFull => _next == Slots;

    public void Dispose() => _memory.Dispose();

    /// <summary>Forgets all instructions.</summary>
    internal void Clear() => _next = 0;

    /// <summary>Makes an instruction ready for execution.</summary>
    /// <param name="instruction">Its executed form.</param>
    /// <param name="isExtended">Whether it takes or changes more than the general registers.</param>
    /// <returns>What <see cref="Execute"/> takes, valid until <see cref="Clear"/>; 0 when it has no encoding.</returns>
    internal nint Prepare(in Instruction instruction, bool isExtended)
    {
        Assembler code = new(64);
        Enter(code, isExtended);
        code.AddInstruction(instruction);
        Leave(code, isExtended);
        byte* slot = _memory.Pointer + (_next * SlotLength);
        using MemoryStream stream = new(SlotLength);
        if (!code.TryAssemble(new StreamCodeWriter(stream), (ulong)slot, out _, out _) || stream.Length > SlotLength)
        {
            return 0;
        }

        // SAFETY: the slot is inside the mapping, and the code was just seen to fit.
        stream.GetBuffer().AsSpan(0, (int)stream.Length).CopyTo(new Span<byte>(slot, SlotLength));
        _next++;
        return (nint)slot;
    }

    /// <summary>Executes a prepared instruction.</summary>
    /// <param name="code">What <see cref="Prepare"/> gave.</param>
    /// <param name="frame">The program's state, changed as the instruction does.</param>
    internal static void Execute(nint code, ExecutionFrame* frame)
    {
        // SAFETY: the code keeps the registers that a function must keep, the stack, and the floating-point unit's modes; it touches the frame, the extended
        // state that the frame names, and the operand, all of which the caller owns.
        ((delegate* unmanaged<ExecutionFrame*, void>)code)(frame);
    }

    private static void Enter(Assembler code, bool isExtended)
    {
        foreach (AssemblerRegister64 register in s_saved)
        {
            code.push(register);
        }

        code.push(rdi);
        if (isExtended)
        {
            code.stmxcsr(__dword_ptr[rdi + Offset(nameof(ExecutionFrame.OwnMxcsr))]);
            code.fnstcw(__word_ptr[rdi + Offset(nameof(ExecutionFrame.OwnControlWord))]);
            SelectComponents(code);
            code.xrstor64(__[rcx]);
        }

        code.push(__qword_ptr[rdi + FlagsOffset]);
        code.popfq();
        for (int i = 0; i < s_registers.Length; i++)
        {
            if (s_registers[i] != rsp && s_registers[i] != rdi)
            {
                code.mov(s_registers[i], __qword_ptr[rdi + TrappedInstruction.SlotOffset(i)]);
            }
        }

        code.mov(rdi, __qword_ptr[rdi + TrappedInstruction.SlotOffset(7)]);
    }

    private static void Leave(Assembler code, bool isExtended)
    {
        // Nothing up to pushfq changes a flag.
        code.xchg(__qword_ptr[rsp], rdi);
        for (int i = 0; i < s_registers.Length; i++)
        {
            if (s_registers[i] != rsp && s_registers[i] != rdi)
            {
                code.mov(__qword_ptr[rdi + TrappedInstruction.SlotOffset(i)], s_registers[i]);
            }
        }

        code.pop(rax);
        code.mov(__qword_ptr[rdi + TrappedInstruction.SlotOffset(7)], rax);
        code.pushfq();
        code.pop(__qword_ptr[rdi + FlagsOffset]);
        code.cld();
        if (isExtended)
        {
            SelectComponents(code);
            code.xsave64(__[rcx]);
            if (Avx.IsSupported)
            {
                code.vzeroupper();
            }

            code.fninit();
            code.ldmxcsr(__dword_ptr[rdi + Offset(nameof(ExecutionFrame.OwnMxcsr))]);
            code.fldcw(__word_ptr[rdi + Offset(nameof(ExecutionFrame.OwnControlWord))]);
        }

        for (int i = s_saved.Length - 1; i >= 0; i--)
        {
            code.pop(s_saved[i]);
        }

        code.ret();
    }

    private static void SelectComponents(Assembler code)
    {
        code.mov(rcx, __qword_ptr[rdi + Offset(nameof(ExecutionFrame.ExtendedState))]);
        code.mov(eax, Components);
        code.xor(edx, edx);
    }

    private static int FlagsOffset { get; } = (int)Marshal.OffsetOf<ThreadRegisters>(nameof(ThreadRegisters.Flags));

    private static int Offset(string field) => (int)Marshal.OffsetOf<ExecutionFrame>(field);
}

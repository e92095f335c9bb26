using Iced.Intel;

namespace Vfio.Run;

/// <summary>Decides how an instruction is done on trapped memory. Not reentrant.</summary>
internal sealed class InstructionAnalysis
{
    /// <summary>The longest operand, that of AVX-512.</summary>
    internal const int MaximumOperand = 64;

    // Low registers first: with them no REX prefix is needed, which AH, BH, CH and DH cannot have.
    private static readonly Register[] s_candidates =
    [
        Register.RSI, Register.RDI, Register.RBX, Register.RCX, Register.RDX, Register.RAX, Register.RBP, Register.R8, Register.R9, Register.R10,
        Register.R11,
    ];

    private readonly InstructionInfoFactory _factory = new();

    internal InstructionForm Analyze(in Instruction instruction)
    {
        InstructionForm form = Classify(instruction);
        if (form.Kind is InstructionKind.Refused or InstructionKind.String or InstructionKind.Nothing)
        {
            return form;
        }

        if (instruction.Mnemonic is Mnemonic.Maskmovq or Mnemonic.Maskmovdqu or Mnemonic.Vmaskmovdqu)
        {
            return form with { AddressBase = instruction.GetOpKind(0) == OpKind.MemorySegEDI ? Register.EDI : Register.RDI };
        }

        if (instruction.IsIPRelativeMemoryOperand)
        {
            return form with { Displacement = instruction.IPRelativeMemoryAddress };
        }

        return form with
        {
            AddressBase = instruction.MemoryBase,
            AddressIndex = instruction.MemoryIndex,
            Displacement = instruction.MemoryDisplacement64,
        };
    }

    private InstructionForm Classify(in Instruction instruction)
    {
        if (instruction.IsInvalid)
        {
            return InstructionForm.Refuse("it is not known");
        }

        switch (instruction.Mnemonic)
        {
            case Mnemonic.Movdir64b or Mnemonic.Enqcmd or Mnemonic.Enqcmds:
                return new InstructionForm(InstructionKind.DirectStore) { Size = MaximumOperand, Reads = true, Writes = true };
            case Mnemonic.Movdiri:
                return new InstructionForm(InstructionKind.DirectStoreOfRegister) { Size = instruction.MemorySize.GetSize(), Writes = true };
            case Mnemonic.Clflush or Mnemonic.Clflushopt or Mnemonic.Clwb or Mnemonic.Cldemote:
                return new InstructionForm(InstructionKind.Nothing);
            case Mnemonic.Ldmxcsr or Mnemonic.Vldmxcsr or Mnemonic.Stmxcsr or Mnemonic.Vstmxcsr or Mnemonic.Fldcw or Mnemonic.Fldenv or Mnemonic.Frstor
                or Mnemonic.Fnstenv or Mnemonic.Fnstcw or Mnemonic.Fnsave:
                return InstructionForm.Refuse("it moves the state of the floating-point unit itself");
            case Mnemonic.Sgdt or Mnemonic.Sidt or Mnemonic.Sldt or Mnemonic.Str or Mnemonic.Smsw or Mnemonic.Lar or Mnemonic.Lsl or Mnemonic.Verr
                or Mnemonic.Verw or Mnemonic.Lfs or Mnemonic.Lgs or Mnemonic.Lss or Mnemonic.Xlatb:
                return InstructionForm.Refuse("it is not made for memory of a device");
            default:
                break;
        }

        if (instruction.IsStringInstruction)
        {
            return instruction.Mnemonic is Mnemonic.Insb or Mnemonic.Insw or Mnemonic.Insd or Mnemonic.Outsb or Mnemonic.Outsw or Mnemonic.Outsd
                ? InstructionForm.Refuse("it accesses ports")
                : new InstructionForm(InstructionKind.String) { Size = instruction.MemorySize.GetSize() };
        }

        if (instruction.IsPrivileged || instruction.IsSaveRestoreInstruction)
        {
            return InstructionForm.Refuse("it is not made for memory of a device");
        }

        if (instruction.IsVsib)
        {
            return InstructionForm.Refuse("it gathers or scatters, which no compiler does for memory of a device");
        }

        return ClassifyByOperands(instruction);
    }

    private InstructionForm ClassifyByOperands(in Instruction instruction)
    {
        int size = instruction.MemorySize.GetSize();
        if (size is 0 or > MaximumOperand)
        {
            return InstructionForm.Refuse($"its operand has {size} bytes");
        }

        switch (instruction.Code)
        {
            case Code.Push_rm16 or Code.Push_rm64:
                return new InstructionForm(InstructionKind.Push) { Size = size, Reads = true };
            case Code.Pop_rm16 or Code.Pop_rm64:
                return new InstructionForm(InstructionKind.Pop) { Size = size, Writes = true };
            case Code.Call_rm64:
                return new InstructionForm(InstructionKind.Call) { Size = size, Reads = true };
            case Code.Jmp_rm64:
                return new InstructionForm(InstructionKind.Jump) { Size = size, Reads = true };
            default:
                break;
        }

        if (instruction.FlowControl != FlowControl.Next || instruction.IsStackInstruction)
        {
            return InstructionForm.Refuse("it is not made for memory of a device");
        }

        InstructionInfo info = _factory.GetInfo(instruction);
        OpAccess access = OpAccess.None;
        int places = 0;
        foreach (UsedMemory used in info.GetUsedMemory())
        {
            places++;
            access = used.Access;
        }

        bool reads = access is OpAccess.Read or OpAccess.CondRead or OpAccess.ReadWrite or OpAccess.ReadCondWrite;
        bool writes = access is OpAccess.Write or OpAccess.CondWrite or OpAccess.ReadWrite or OpAccess.ReadCondWrite;
        if (places != 1 || !(reads || writes))
        {
            return InstructionForm.Refuse("it has no operand in memory, or more than one");
        }

        return Execute(instruction, info, new InstructionForm(InstructionKind.Executed) { Size = size, Reads = reads, Writes = writes });
    }

    /// <summary>Makes the form that the processor executes: with a register that nothing else uses as the whole address.</summary>
    private static InstructionForm Execute(in Instruction instruction, InstructionInfo info, InstructionForm form)
    {
        uint used = 0;
        bool isExtended = instruction.Code.ToOpCode() is { Encoding: EncodingKind.Legacy, Table: OpCodeTableKind.Normal, OpCode: >= 0xD8 and <= 0xDF };
        foreach (UsedRegister register in info.GetUsedRegisters())
        {
            if (register.Register.IsSegmentRegister() && IsOperand(instruction, register.Register))
            {
                return InstructionForm.Refuse("it loads or stores a segment register");
            }

            if (register.Register.IsTMM())
            {
                return InstructionForm.Refuse("it loads or stores a tile");
            }

            if (TrappedInstruction.NumberOf(register.Register) is >= 0 and int number)
            {
                used |= 1u << number;
            }

            isExtended |= register.Register.IsVectorRegister() || register.Register.IsK() || register.Register.IsMM() || register.Register.IsST();
        }

        Instruction executed = instruction;
        int scratch = Take(ref used);
        if (instruction.Mnemonic is Mnemonic.Maskmovq or Mnemonic.Maskmovdqu or Mnemonic.Vmaskmovdqu)
        {
            scratch = TrappedInstruction.NumberOf(Register.RDI);
            executed.SetOpKind(0, OpKind.MemorySegRDI);
        }
        else
        {
            executed.Code = WithAnyAddress(executed.Code);
            executed.MemoryBase = Register.RAX + scratch;
            executed.MemoryIndex = Register.None;
            executed.MemoryIndexScale = 1;
            executed.MemoryDisplacement64 = 0;
            executed.MemoryDisplSize = 0;
        }

        executed.SegmentPrefix = Register.None;
        int substitute = ReplaceStackPointer(ref executed, ref used);
        bool hasBitOffset = instruction.Mnemonic is Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc && instruction.GetOpKind(1) == OpKind.Register;
        (MaskKind mask, Register maskRegister) = MaskOf(instruction, form.Writes);
        return form with
        {
            IsExtended = isExtended,
            Scratch = scratch,
            StackSubstitute = substitute,
            BitOffset = hasBitOffset ? TrappedInstruction.NumberOf(instruction.GetOpRegister(1)) : TrappedInstruction.NoRegister,
            Mask = mask,
            MaskRegister = maskRegister,
            ElementSize = instruction.MemorySize.GetElementSize(),
            Executed = executed,
        };
    }

    /// <summary>The loads and stores of the accumulator that have their address in them, as those that have it in a register.</summary>
    private static Code WithAnyAddress(Code code) => code switch
    {
        Code.Mov_AL_moffs8 => Code.Mov_r8_rm8,
        Code.Mov_AX_moffs16 => Code.Mov_r16_rm16,
        Code.Mov_EAX_moffs32 => Code.Mov_r32_rm32,
        Code.Mov_RAX_moffs64 => Code.Mov_r64_rm64,
        Code.Mov_moffs8_AL => Code.Mov_rm8_r8,
        Code.Mov_moffs16_AX => Code.Mov_rm16_r16,
        Code.Mov_moffs32_EAX => Code.Mov_rm32_r32,
        Code.Mov_moffs64_RAX => Code.Mov_rm64_r64,
        _ => code,
    };

    private static int Take(ref uint used)
    {
        foreach (Register candidate in s_candidates)
        {
            int number = candidate - Register.RAX;
            if ((used >> number & 1) == 0)
            {
                used |= 1u << number;
                return number;
            }
        }

        throw new InvalidOperationException("No instruction uses all registers.");
    }

    /// <summary>The stack of an executed instruction is the tracer's; the value of the program's RSP is in another register.</summary>
    private static int ReplaceStackPointer(ref Instruction executed, ref uint used)
    {
        int substitute = TrappedInstruction.NoRegister;
        for (int i = 0; i < executed.OpCount; i++)
        {
            if (executed.GetOpKind(i) != OpKind.Register || executed.GetOpRegister(i).GetFullRegister() != Register.RSP)
            {
                continue;
            }

            substitute = substitute < 0 ? Take(ref used) : substitute;
            executed.SetOpRegister(i, executed.GetOpRegister(i) switch
            {
                Register.SPL => substitute < 4 ? Register.AL + substitute : Register.SPL + (substitute - 4),
                Register.SP => Register.AX + substitute,
                Register.ESP => Register.EAX + substitute,
                _ => Register.RAX + substitute,
            });
        }

        return substitute;
    }

    private static (MaskKind Kind, Register Register) MaskOf(in Instruction instruction, bool writes)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Vmaskmovps or Mnemonic.Vmaskmovpd or Mnemonic.Vpmaskmovd or Mnemonic.Vpmaskmovq:
                return (MaskKind.Signs, instruction.GetOpRegister(1));
            case Mnemonic.Maskmovdqu or Mnemonic.Vmaskmovdqu:
                return (MaskKind.Signs, instruction.GetOpRegister(2));
            case Mnemonic.Maskmovq:
                return (MaskKind.SignsOfMmx, instruction.GetOpRegister(2));
            default:
                break;
        }

        if (!instruction.HasOpMask || instruction.IsBroadcast)
        {
            return (MaskKind.None, Register.None);
        }

        string name = instruction.Mnemonic.ToString();
        bool counts = name.StartsWith("Vpcompress", StringComparison.Ordinal) || name.StartsWith("Vcompress", StringComparison.Ordinal)
            || name.StartsWith("Vpexpand", StringComparison.Ordinal) || name.StartsWith("Vexpand", StringComparison.Ordinal);

        // Where a mask's elements are others than those in memory, all of it is read; so do the instructions that do not hold faults back.
        bool moves = writes || name.StartsWith("Vmov", StringComparison.Ordinal) || name.StartsWith("Vpmov", StringComparison.Ordinal);
        return (counts ? MaskKind.OpMaskCount : moves ? MaskKind.OpMask : MaskKind.None, instruction.OpMask);
    }

    private static bool IsOperand(in Instruction instruction, Register register)
    {
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) == OpKind.Register && instruction.GetOpRegister(i) == register)
            {
                return true;
            }
        }

        return false;
    }
}

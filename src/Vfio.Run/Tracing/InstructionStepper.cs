using Iced.Intel;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>Lets the processor execute an instruction on a copy of what its memory operand names.</summary>
internal sealed class InstructionStepper(ProgramPages pages)
{
    private const int SignalTrap = 5;
    private const int SignalStop = 19;
    private const int LargestOperand = 512;

    // Those first that need no prefix: an instruction with AH can't have one.
    private static readonly Register[] s_bases =
    [
        Register.RBX, Register.RSI, Register.RDI, Register.RDX, Register.RCX, Register.RAX, Register.RBP,
        Register.R8, Register.R9, Register.R10, Register.R11, Register.R12, Register.R13, Register.R14, Register.R15,
    ];

    private readonly InstructionInfoFactory _information = new();
    private readonly List<int> _signals = [];

    /// <summary>Executes the instruction and lets the thread go on.</summary>
    /// <returns>Why it can't be executed; null when it was, or the thread is gone.</returns>
    public string? Execute(int thread, SupervisedProcess process, DecodedInstruction decoded, ulong address, ref ThreadRegisters registers)
    {
        Instruction instruction = decoded.Instruction;
        ulong page = pages.Find(process.Id);
        InstructionInfo information = _information.GetInfo(instruction);
        OpAccess access = information.GetOpAccess(decoded.MemoryOperand);
        string? reason = page == 0 ? "the process has mapped the device in no way that the tracer saw"
            : decoded.Size > LargestOperand ? "its operand is too large"
            : instruction.HasOpMask && instruction.OpMask != Register.K0 ? "its operand has a mask"
            : instruction.IsVsib ? "it gathers or scatters"
            : instruction.FlowControl is FlowControl.Call or FlowControl.IndirectCall ? "it calls by an address that a device says"
            : null;
        Register free = FindFree(information);
        byte[]? code = reason is null && free != Register.None ? Encode(instruction, free, page) : null;
        if (code is null)
        {
            return reason ?? "no register is left to redirect it by";
        }

        Span<byte> before = stackalloc byte[LargestOperand];
        Span<byte> after = stackalloc byte[LargestOperand];
        before = before[..decoded.Size];
        after = after[..decoded.Size];
        bool reads = access is not (OpAccess.Write or OpAccess.CondWrite);
        if (reads && !ProgramBytes.TryRead(process, address, before))
        {
            return "its addresses are neither a device's nor memory's";
        }

        ulong data = page + ProgramPages.DataOffset;
        if (process.Memory.Write(page, code) != Errno.None || process.Memory.Write(data, before) != Errno.None)
        {
            return "the tracer's pages in the process are gone";
        }

        ThreadRegisters redirected = registers;
        ulong kept = RegisterFile.Get(ref redirected, free);
        redirected.Rip = page;
        redirected.CallNumber = ulong.MaxValue;
        RegisterFile.Set(ref redirected, free, data);
        switch (Step(thread, in redirected, out ThreadRegisters done))
        {
            case StepResult.Gone:
                return null;
            case StepResult.Faulted:
                _ = ThreadTracing.Write(thread, in registers);
                Resume(thread, process.Id);
                return null;
        }

        _ = process.Memory.Read(data, after);
        bool writes = access is OpAccess.Write or OpAccess.ReadWrite
            || (access is OpAccess.CondWrite or OpAccess.ReadCondWrite && !after.SequenceEqual(before));
        if (writes)
        {
            _ = ProgramBytes.TryWrite(process, address, after);
        }

        RegisterFile.Set(ref done, free, kept);
        done.Rip = done.Rip == page + (ulong)code.Length ? instruction.NextIP : done.Rip;
        _ = ThreadTracing.Write(thread, in done);
        Resume(thread, process.Id);
        return null;
    }

    /// <summary>Steps over one instruction; signals that come meanwhile wait.</summary>
    private StepResult Step(int thread, in ThreadRegisters start, out ThreadRegisters done)
    {
        done = start;
        _signals.Clear();
        if (ThreadTracing.Write(thread, in start) != Errno.None)
        {
            return StepResult.Gone;
        }

        while (ThreadTracing.Step(thread) == Errno.None && ThreadTracing.Wait(thread, out int status) == thread && (status & 0xFF) == 0x7F)
        {
            int signal = (status >> 8) & 0xFF;
            if ((TraceEvent)(status >> 16) == TraceEvent.Exit)
            {
                _ = ThreadTracing.Detach(thread);
                return StepResult.Gone;
            }

            if (status >> 16 != 0)
            {
                // Job control: once the instruction is over.
                _signals.Add(SignalStop);
                continue;
            }

            if (ThreadTracing.Read(thread, out done) != Errno.None)
            {
                return StepResult.Gone;
            }

            if (signal == SignalTrap && done.Rip != start.Rip)
            {
                return StepResult.Done;
            }

            _signals.Add(signal);
            if (signal is 4 or 7 or 8 or 11)
            {
                // The instruction's own fault, such as a misaligned operand.
                return StepResult.Faulted;
            }
        }

        return StepResult.Gone;
    }

    private void Resume(int thread, int process)
    {
        foreach (int signal in _signals)
        {
            ThreadTracing.Signal(process, thread, signal);
        }

        _ = ThreadTracing.Resume(thread);
    }

    private static Register FindFree(in InstructionInfo information)
    {
        HashSet<Register> used = [];
        foreach (UsedRegister register in information.GetUsedRegisters())
        {
            used.Add(register.Register.GetFullRegister());
        }

        return Array.Find(s_bases, candidate => !used.Contains(candidate));
    }

    /// <summary>The instruction with its memory operand at a register, and nothing else.</summary>
    private static byte[]? Encode(Instruction instruction, Register free, ulong address)
    {
        instruction.MemoryBase = free;
        instruction.MemoryIndex = Register.None;
        instruction.MemoryIndexScale = 1;
        instruction.MemoryDisplacement64 = 0;
        instruction.MemoryDisplSize = 0;
        instruction.SegmentPrefix = Register.None;
        CodeBytes code = new();
        Encoder encoder = Encoder.Create(64, code);
        return encoder.TryEncode(in instruction, address, out _, out _) ? code.ToArray() : null;
    }

    private enum StepResult
    {
        Done,
        Faulted,
        Gone,
    }

    private sealed class CodeBytes : CodeWriter
    {
        private readonly List<byte> _bytes = [];

        public override void WriteByte(byte value) => _bytes.Add(value);

        public byte[] ToArray() => [.. _bytes];
    }
}

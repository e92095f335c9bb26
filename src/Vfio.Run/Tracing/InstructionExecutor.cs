using Iced.Intel;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>Executes the instruction of a stopped thread that accesses a device.</summary>
/// <remarks>
/// Plain moves, which nearly all accesses are, are done here. Everything else is executed by the processor on a copy of the device's content, one instruction
/// in a page of the tracer's, with the memory operand redirected; what it wrote goes to the device. String instructions are done here piece by piece.
/// An access that is wider than the bus becomes several, in rising order.
/// </remarks>
internal sealed class InstructionExecutor(ProgramPages pages, Action<string, string> refused)
{
    private const int LongestInstruction = 15;
    private const ulong PageSize = 4096;
    private const int MaximumCached = 4096;
    private readonly Dictionary<ulong, DecodedInstruction> _decoded = [];
    private readonly InstructionStepper _stepper = new(pages);
    private readonly RegisterReader _reader = new();

    /// <summary>Executes the instruction, and lets the thread go on behind it.</summary>
    /// <returns>False to let the program have the signal.</returns>
    public bool TryExecute(int thread, SupervisedProcess process)
    {
        Span<byte> buffer = stackalloc byte[LongestInstruction];
        if (ThreadTracing.Read(thread, out ThreadRegisters registers) != Errno.None)
        {
            return true; // It is gone.
        }

        ReadOnlySpan<byte> code = ReadCode(process, registers.Rip, buffer);
        if (code.IsEmpty)
        {
            return false;
        }

        DecodedInstruction decoded = Decode(code, registers.Rip);
        Instruction instruction = decoded.Instruction;
        if (decoded.Move != MoveKind.None)
        {
            return TryMove(thread, process, decoded, ref registers);
        }

        if (instruction.Mnemonic is Mnemonic.Movdir64b or Mnemonic.Enqcmd or Mnemonic.Enqcmds)
        {
            return PortalStore.TryExecute(thread, process, in instruction, ref registers);
        }

        if (instruction.IsStringInstruction)
        {
            return Finish(StringExecutor.TryExecute(process, in instruction, ref registers), thread, in registers, decoded, "its addresses are neither a device's nor memory's, or it compares");
        }

        if (decoded.MemoryOperand < 0 || decoded.Size == 0)
        {
            refused(decoded.ToString(), "it has no memory operand of a fixed size");
            return false;
        }

        string? reason = _stepper.Execute(thread, process, decoded, _reader.AddressOf(in instruction, decoded.MemoryOperand, ref registers), ref registers);
        if (reason is null)
        {
            return true;
        }

        refused(decoded.ToString(), reason);
        return false;
    }

    private bool TryMove(int thread, SupervisedProcess process, DecodedInstruction decoded, ref ThreadRegisters registers)
    {
        Instruction instruction = decoded.Instruction;
        ulong address = _reader.AddressOf(in instruction, decoded.MemoryOperand, ref registers);
        Span<byte> bytes = stackalloc byte[8];
        int size = decoded.Size;
        switch (decoded.Move)
        {
            case MoveKind.Load or MoveKind.LoadSigned:
                bytes.Clear();
                if (!ProgramBytes.TryRead(process, address, bytes[..size]))
                {
                    return false;
                }

                ulong value = BitConverter.ToUInt64(bytes);
                int unused = 64 - (8 * size);
                RegisterFile.Set(ref registers, instruction.Op0Register, decoded.Move == MoveKind.Load ? value : (ulong)((long)(value << unused) >> unused));
                break;
            default:
                ulong stored = decoded.Move == MoveKind.Store ? RegisterFile.Get(ref registers, instruction.Op1Register) : instruction.GetImmediate(1);
                _ = BitConverter.TryWriteBytes(bytes, stored);
                if (!ProgramBytes.TryWrite(process, address, bytes[..size]))
                {
                    return false;
                }

                break;
        }

        registers.Rip = instruction.NextIP;
        _ = ThreadTracing.Write(thread, in registers);
        _ = ThreadTracing.Resume(thread);
        return true;
    }

    private bool Finish(bool done, int thread, in ThreadRegisters registers, DecodedInstruction decoded, string reason)
    {
        if (!done)
        {
            refused(decoded.ToString(), reason);
            return false;
        }

        _ = ThreadTracing.Write(thread, in registers);
        _ = ThreadTracing.Resume(thread);
        return true;
    }

    private DecodedInstruction Decode(ReadOnlySpan<byte> code, ulong address)
    {
        if (_decoded.TryGetValue(address, out DecodedInstruction? known) && known.Has(code))
        {
            return known;
        }

        if (_decoded.Count >= MaximumCached)
        {
            _decoded.Clear();
        }

        DecodedInstruction decoded = new(code, address);
        _decoded[address] = decoded;
        return decoded;
    }

    private static ReadOnlySpan<byte> ReadCode(SupervisedProcess process, ulong address, Span<byte> buffer)
    {
        if (process.Memory.Read(address, buffer) == Errno.None)
        {
            return buffer;
        }

        // It may stand at the end of its page, with nothing behind.
        int left = (int)Math.Min(PageSize - (address % PageSize), (ulong)buffer.Length);
        return process.Memory.Read(address, buffer[..left]) == Errno.None ? buffer[..left] : default;
    }
}

using Iced.Intel;

namespace Vfio.Run;

/// <summary>Instructions by their address, each with the bytes it was decoded from: what another program has there is another instruction.</summary>
internal sealed class InstructionCache(InstructionExecutor executor)
{
    private const int Entries = 1024;

    private readonly TrappedInstruction?[] _entries = new TrappedInstruction?[Entries];
    private readonly InstructionAnalysis _analysis = new();

    /// <summary>What was decoded last at an address, or at another one with the same place here.</summary>
    internal TrappedInstruction? this[ulong address]
    {
        get
        {
            TrappedInstruction? entry = _entries[PlaceOf(address)];
            return entry is not null && entry.Instruction.IP == address ? entry : null;
        }
    }

    /// <summary>Decodes an instruction and keeps it.</summary>
    /// <param name="address">Where it is.</param>
    /// <param name="code">Its bytes, and what follows.</param>
    internal TrappedInstruction Decode(ulong address, ReadOnlySpan<byte> code)
    {
        byte[] bytes = code.ToArray();
        Decoder decoder = Decoder.Create(64, bytes, address);
        decoder.Decode(out Instruction instruction);
        InstructionForm form = _analysis.Analyze(instruction);
        nint prepared = 0;
        if (form.Kind == InstructionKind.Executed)
        {
            if (executor.IsFull)
            {
                Array.Clear(_entries);
                executor.Clear();
            }

            prepared = executor.Prepare(form.Executed, form.IsExtended);
            if (prepared == 0)
            {
                form = InstructionForm.Refuse("it has no form with another address");
            }
        }

        TrappedInstruction result = TrappedInstruction.Create(instruction, instruction.IsInvalid ? bytes : bytes[..instruction.Length], form);
        result.Code = prepared;
        _entries[PlaceOf(address)] = result;
        return result;
    }

    private static int PlaceOf(ulong address) => (int)((address * 0x9E37_79B9_7F4A_7C15) >> 54);
}

using Iced.Intel;

namespace Vfio.Run;

/// <summary>An instruction of the program, decoded once for its place and its bytes.</summary>
internal sealed class DecodedInstruction
{
    private readonly byte[] _code;

    public DecodedInstruction(ReadOnlySpan<byte> code, ulong address)
    {
        _code = code.ToArray();
        Decoder decoder = Decoder.Create(64, new ByteArrayCodeReader(_code), address, DecoderOptions.None);
        decoder.Decode(out Instruction instruction);
        Instruction = instruction;
        MemoryOperand = -1;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) == OpKind.Memory)
            {
                MemoryOperand = i;
            }
        }

        Size = MemoryOperand < 0 ? 0 : instruction.MemorySize.GetSize();
        Move = MoveOf(instruction, MemoryOperand, Size);
    }

    public Instruction Instruction { get; }

    /// <summary>Which operand is memory; -1 for none that is written out.</summary>
    public int MemoryOperand { get; }

    /// <summary>Bytes of the memory operand; 0 when they are not fixed.</summary>
    public int Size { get; }

    /// <summary>What it does when it is a plain move.</summary>
    public MoveKind Move { get; }

    public bool Has(ReadOnlySpan<byte> code) => code.SequenceEqual(_code);

    /// <summary>The instruction and its bytes.</summary>
    public override string ToString()
    {
        MasmFormatter formatter = new();
        StringOutput output = new();
        formatter.Format(Instruction, output);
        return $"{output.ToStringAndReset()} ({Convert.ToHexString(_code.AsSpan(0, Math.Max(1, Instruction.Length)))})";
    }

    private static MoveKind MoveOf(Instruction instruction, int memory, int size)
    {
        if (memory < 0 || size is not (1 or 2 or 4 or 8))
        {
            return MoveKind.None;
        }

        return instruction.Mnemonic switch
        {
            Mnemonic.Mov when memory == 1 && IsGeneral(instruction.Op0Register) => MoveKind.Load,
            Mnemonic.Mov when memory == 0 && instruction.Op1Kind == OpKind.Register && IsGeneral(instruction.Op1Register) => MoveKind.Store,
            Mnemonic.Mov when memory == 0 && instruction.Op1Kind != OpKind.Register => MoveKind.StoreImmediate,
            Mnemonic.Movnti => MoveKind.Store,
            Mnemonic.Movzx => MoveKind.Load,
            Mnemonic.Movsx or Mnemonic.Movsxd => MoveKind.LoadSigned,
            _ => MoveKind.None,
        };
    }

    private static bool IsGeneral(Register register) => register.IsGPR();
}

/// <summary>Moves that are executed without the processor.</summary>
internal enum MoveKind
{
    None,
    Load,
    LoadSigned,
    Store,
    StoreImmediate,
}

using Iced.Intel;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>Does the instruction at which a stopped thread was about to access trapped memory. For one thread's use; allocates only for new instructions.</summary>
internal sealed unsafe partial class Emulator : IDisposable
{
    private const int PageSize = 4096;

    /// <summary>The operand lies where it has the alignment of its address to 64 bytes, which is all that an instruction can demand.</summary>
    private const int Line = 64;

    /// <summary>CF, PF, AF, ZF, SF and OF.</summary>
    private const ulong ArithmeticFlags = 0x8D5;
    private const ulong ZeroFlag = 0x40;

    /// <summary>What every flags register has, and IF.</summary>
    private const ulong NeutralFlags = 0x202;

    /// <summary>The selector of 64-bit code.</summary>
    private const ulong LongModeCode = 0x33;

    private readonly TrappedTransfer _transfer;
    private readonly InstructionExecutor _executor = new();
    private readonly InstructionCache _cache;
    private readonly ExtendedState _extended = new();
    private readonly MemoryMapping _own;

    private SupervisedProcess? _process;
    private ThreadRegisters _was;
    private int _threadId;

    /// <param name="trace">Where accesses of devices are told; null for nowhere.</param>
    internal Emulator(CallTrace? trace)
    {
        _transfer = new TrappedTransfer(trace);
        _cache = new InstructionCache(_executor);
        MemoryMapping.TryMapAnonymous(PageSize, MemoryProtection.ReadWrite, out MemoryMapping? own).ThrowIfError("map memory for operands");
        _own = own!;
    }

    /// <summary>The instruction looked at last; for messages.</summary>
    internal TrappedInstruction? Last { get; private set; }

    private ExecutionFrame* Frame => (ExecutionFrame*)_own.Pointer;

    private ref ThreadRegisters Registers => ref Frame->Registers;

    /// <summary>Two lines for an operand, which ends in the second when it crosses a line's end.</summary>
    private byte* Staging => (byte*)_own.Pointer + 2048;

    public void Dispose()
    {
        _executor.Dispose();
        _extended.Dispose();
        _own.Dispose();
    }

    /// <summary>Does an access that raised SIGBUS.</summary>
    /// <param name="threadId">The stopped thread.</param>
    /// <param name="process">Its process.</param>
    /// <param name="address">The address of the fault.</param>
    internal EmulationResult TryEmulate(int threadId, SupervisedProcess process, ulong address)
    {
        (_threadId, _process, Last) = (threadId, process, null);
        if (!_transfer.TryBegin(process, address))
        {
            return EmulationResult.NotTrapped;
        }

        EmulationResult result = Fetch();
        return result == EmulationResult.Done ? Dispatch(Last!, address) : result;
    }

    /// <summary>Does an instruction that the processor does not know, and a device's program may use nevertheless: a direct store.</summary>
    /// <param name="threadId">The stopped thread.</param>
    /// <param name="process">Its process.</param>
    internal EmulationResult TryEmulateUnknown(int threadId, SupervisedProcess process)
    {
        (_threadId, _process, Last) = (threadId, process, null);
        _transfer.TryBegin(process, 0);
        EmulationResult result = Fetch();
        if (result != EmulationResult.Done)
        {
            return result;
        }

        return Last!.Kind switch
        {
            InstructionKind.DirectStore => StoreDirectly(Last),
            InstructionKind.DirectStoreOfRegister => StoreRegisterDirectly(Last),
            _ => EmulationResult.NotTrapped,
        };
    }

    /// <summary>Takes the registers, and the instruction that they point to.</summary>
    private EmulationResult Fetch()
    {
        if (ThreadTracing.Read(_threadId, out Registers) != Errno.None)
        {
            return EmulationResult.Gone;
        }

        _was = Registers;
        if (Registers.Cs != LongModeCode)
        {
            return EmulationResult.Refused;
        }

        ulong rip = Registers.Rip;
        Span<byte> code = stackalloc byte[TrappedInstruction.MaximumLength];
        if (_cache[rip] is { } known)
        {
            Span<byte> now = code[..known.Bytes.Length];
            if (_process!.Code.TryRead(rip, now) == Errno.None && now.SequenceEqual(known.Bytes))
            {
                Last = known;
                return EmulationResult.Done;
            }
        }

        // What follows an instruction at the end of a page may not be mapped.
        int length = Math.Min(code.Length, PageSize - (int)(rip % PageSize));
        if (_process!.Code.TryRead(rip, code[..length]) != Errno.None)
        {
            return EmulationResult.Failed;
        }

        if (length < code.Length && _process.Code.TryRead(rip + (ulong)length, code[length..]) == Errno.None)
        {
            length = code.Length;
        }

        Last = _cache.Decode(rip, code[..length]);
        return EmulationResult.Done;
    }

    private EmulationResult Dispatch(TrappedInstruction instruction, ulong fault)
    {
        switch (instruction.Kind)
        {
            case InstructionKind.Refused:
                return EmulationResult.Refused;
            case InstructionKind.String:
                return DoString(instruction);
            case InstructionKind.Nothing:
                return Complete(instruction);
            case InstructionKind.DirectStore:
                return StoreDirectly(instruction);
            case InstructionKind.Pop:
                return Pop(instruction);
            default:
                break;
        }

        ulong address = instruction.AddressOf(ref Registers);
        if (fault - address >= (ulong)instruction.Size)
        {
            // Not its operand: its stack, or other code by now.
            return EmulationResult.Refused;
        }

        return instruction.Kind switch
        {
            InstructionKind.Executed => Execute(instruction, address),
            InstructionKind.DirectStoreOfRegister => StoreRegisterDirectly(instruction),
            _ => ReadTarget(instruction, address),
        };
    }

    private EmulationResult Execute(TrappedInstruction instruction, ulong address)
    {
        ulong enabled = TrappedTransfer.AllBytes;
        if (instruction.IsExtended)
        {
            if (_extended.Take(_threadId) != Errno.None)
            {
                return EmulationResult.Gone;
            }

            enabled = EnabledBytes(instruction);
        }

        byte* place = Staging + (address % Line);
        Span<byte> operand = new(place, instruction.Size);
        operand.Clear();
        if (instruction.Reads && _transfer.Read(address, operand, enabled) != Errno.None)
        {
            return EmulationResult.Failed;
        }

        if (instruction.Divides && Division.Overflows(ref Registers, operand, instruction.Instruction.Mnemonic == Mnemonic.Idiv))
        {
            return EmulationResult.DivideError;
        }

        RunOnProcessor(instruction, place);
        if (instruction.Writes && _transfer.Write(address, operand, enabled) != Errno.None)
        {
            return EmulationResult.Failed;
        }

        return instruction.IsExtended && _extended.Put(_threadId) != Errno.None ? EmulationResult.Gone : Complete(instruction);
    }

    private void RunOnProcessor(TrappedInstruction instruction, byte* place)
    {
        ref ThreadRegisters registers = ref Registers;
        ulong flags = registers.Flags;
        ulong scratch = Exchange(instruction.Scratch, (ulong)place - (instruction.BitOffset >= 0 ? instruction.BitDistance(ref registers) : 0));
        ulong substituted = instruction.StackSubstitute >= 0 ? Exchange(instruction.StackSubstitute, registers.Rsp) : 0;
        registers.Flags = (flags & ArithmeticFlags) | NeutralFlags;
        Frame->ExtendedState = _extended.Address;
        InstructionExecutor.Execute(instruction.Code, Frame);
        registers.Flags = (flags & ~ArithmeticFlags) | (registers.Flags & ArithmeticFlags);
        if (instruction.StackSubstitute >= 0)
        {
            registers.Rsp = Exchange(instruction.StackSubstitute, substituted);
        }

        Exchange(instruction.Scratch, scratch);
    }

    private ulong Exchange(int register, ulong value)
    {
        ref ulong slot = ref TrappedInstruction.Slot(ref Registers, register);
        (ulong old, slot) = (slot, value);
        return old;
    }

    /// <summary>Which bytes of its operand an instruction with a mask accesses.</summary>
    private ulong EnabledBytes(TrappedInstruction instruction)
    {
        if (instruction.Mask == MaskKind.None)
        {
            return TrappedTransfer.AllBytes;
        }

        int element = instruction.ElementSize;
        int count = instruction.Size / element;
        Span<byte> signs = stackalloc byte[Line];
        ulong chosen = 0;
        switch (instruction.Mask)
        {
            case MaskKind.OpMask:
                chosen = _extended.OpMask(instruction.MaskRegister);
                break;
            case MaskKind.OpMaskCount:
                int ones = System.Numerics.BitOperations.PopCount(_extended.OpMask(instruction.MaskRegister) & LowBits(count));
                chosen = LowBits(ones);
                break;
            case MaskKind.Signs:
                _extended.CopyVector(instruction.MaskRegister, signs[..instruction.Size]);
                break;
            default:
                _extended.CopyMmx(instruction.MaskRegister, signs[..instruction.Size]);
                break;
        }

        if (instruction.Mask is MaskKind.Signs or MaskKind.SignsOfMmx)
        {
            // The masked stores of SSE choose bytes, whatever their operand is called.
            element = instruction.Instruction.Mnemonic is Mnemonic.Maskmovq or Mnemonic.Maskmovdqu or Mnemonic.Vmaskmovdqu ? 1 : element;
            count = instruction.Size / element;
            for (int i = 0; i < count; i++)
            {
                chosen |= (ulong)(signs[((i + 1) * element) - 1] >> 7) << i;
            }
        }

        ulong bytes = 0;
        for (int i = 0; i < count; i++)
        {
            bytes |= (chosen >> i & 1) != 0 ? LowBits(element) << (i * element) : 0;
        }

        return bytes;
    }

    private static ulong LowBits(int count) => count >= 64 ? ulong.MaxValue : (1UL << count) - 1;

    /// <summary>Steps over an instruction.</summary>
    private EmulationResult Complete(TrappedInstruction instruction)
    {
        Registers.Rip += (ulong)instruction.Instruction.Length;
        return Resume();
    }

    private EmulationResult Resume() =>
        ThreadTracing.WriteChanges(_threadId, in _was, in Registers) == Errno.None ? EmulationResult.Done : EmulationResult.Gone;
}

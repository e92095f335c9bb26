using System.Buffers.Binary;
using Iced.Intel;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>Instructions that touch more than one place.</summary>
internal sealed unsafe partial class Emulator
{
    /// <summary>The most elements of a repeated instruction in one go: signals are looked at between them.</summary>
    private const int ElementsAtOnce = 4096;

    private const ulong DirectionFlag = 0x400;

    /// <summary>push, call and jmp: they read the operand first.</summary>
    private EmulationResult ReadTarget(TrappedInstruction instruction, ulong address)
    {
        Span<byte> value = stackalloc byte[8];
        value.Clear();
        if (_transfer.Read(address, value[..instruction.Size], TrappedTransfer.AllBytes) != Errno.None)
        {
            return EmulationResult.Failed;
        }

        ulong target = BinaryPrimitives.ReadUInt64LittleEndian(value);
        ref ThreadRegisters registers = ref Registers;
        switch (instruction.Kind)
        {
            case InstructionKind.Push:
                registers.Rsp -= (ulong)instruction.Size;
                if (_transfer.Write(registers.Rsp, value[..instruction.Size], TrappedTransfer.AllBytes) != Errno.None)
                {
                    return EmulationResult.Failed;
                }

                return Complete(instruction);
            case InstructionKind.Call:
                registers.Rsp -= 8;
                BinaryPrimitives.WriteUInt64LittleEndian(value, instruction.Instruction.NextIP);
                if (_transfer.Write(registers.Rsp, value, TrappedTransfer.AllBytes) != Errno.None)
                {
                    return EmulationResult.Failed;
                }

                break;
            default:
                break;
        }

        registers.Rip = target;
        return Resume();
    }

    private EmulationResult Pop(TrappedInstruction instruction)
    {
        Span<byte> value = stackalloc byte[instruction.Size];
        ref ThreadRegisters registers = ref Registers;
        if (_transfer.Read(registers.Rsp, value, TrappedTransfer.AllBytes) != Errno.None)
        {
            return EmulationResult.Failed;
        }

        // An address composed with RSP takes it as it is afterwards (Intel SDM 2, POP).
        registers.Rsp += (ulong)instruction.Size;
        return _transfer.Write(instruction.AddressOf(ref registers), value, TrappedTransfer.AllBytes) == Errno.None
            ? Complete(instruction)
            : EmulationResult.Failed;
    }

    /// <summary>movdir64b, enqcmd and enqcmds (Intel SDM 2): 64 bytes at once, to an address in a register.</summary>
    private EmulationResult StoreDirectly(TrappedInstruction instruction)
    {
        Span<byte> data = stackalloc byte[Line];
        if (_transfer.Read(instruction.AddressOf(ref Registers), data, TrappedTransfer.AllBytes) != Errno.None)
        {
            return EmulationResult.Failed;
        }

        Register register = instruction.Instruction.GetOpRegister(0);
        ulong address = TrappedInstruction.Slot(ref Registers, TrappedInstruction.NumberOf(register));
        address = register.IsGPR32() ? (uint)address : address;
        if (address % Line != 0)
        {
            return EmulationResult.NotTrapped;
        }

        if (instruction.Instruction.Mnemonic != Mnemonic.Movdir64b)
        {
            // The processor puts the address space of the process there, of which this has none; the device accepts.
            BinaryPrimitives.WriteUInt32LittleEndian(data, 0);
            Registers.Flags &= ~ArithmeticFlags;
        }

        return _transfer.WriteAtOnce(address, data) == Errno.None ? Complete(instruction) : EmulationResult.Failed;
    }

    private EmulationResult StoreRegisterDirectly(TrappedInstruction instruction)
    {
        Span<byte> data = stackalloc byte[8];
        int number = TrappedInstruction.NumberOf(instruction.Instruction.GetOpRegister(1));
        BinaryPrimitives.WriteUInt64LittleEndian(data, TrappedInstruction.Slot(ref Registers, number));
        return _transfer.Write(instruction.AddressOf(ref Registers), data[..instruction.Size], TrappedTransfer.AllBytes) == Errno.None
            ? Complete(instruction)
            : EmulationResult.Failed;
    }

    /// <summary>movs, stos, lods, cmps and scas: element by element, as long as trapped memory is touched, with the registers right after each.</summary>
    private EmulationResult DoString(TrappedInstruction instruction)
    {
        Instruction decoded = instruction.Instruction;
        StringOperation operation = StringOperation.From(decoded);
        bool repeats = decoded.HasRepPrefix || decoded.HasRepnePrefix;
        bool any = false;
        for (int i = 0; i < ElementsAtOnce; i++)
        {
            ulong count = operation.IsNarrow ? (uint)Registers.Rcx : Registers.Rcx;
            if (repeats && count == 0)
            {
                return Complete(instruction);
            }

            if (!Touches(operation, decoded) && any)
            {
                // The processor goes on by itself.
                return Resume();
            }

            if (!DoElement(operation, decoded, instruction.Size))
            {
                // What the elements before did stays done; the program meets the fault by itself, if there is one.
                return any ? Resume() : EmulationResult.Failed;
            }

            any = true;
            if (!repeats)
            {
                return Complete(instruction);
            }

            Registers.Rcx = operation.IsNarrow ? (uint)(count - 1) : count - 1;
            bool equal = (Registers.Flags & ZeroFlag) != 0;
            if (count == 1 || (operation.Compares && equal != decoded.HasRepePrefix))
            {
                return Complete(instruction);
            }
        }

        return Resume();
    }

    private bool Touches(StringOperation operation, in Instruction instruction) =>
        (operation.HasSource && _transfer.IsTrapped(SourceOf(operation, instruction)))
        || (operation.HasDestination && _transfer.IsTrapped(DestinationOf(operation)));

    private ulong SourceOf(StringOperation operation, in Instruction instruction) => TrappedInstruction.Locate(
        ref Registers, instruction.MemorySegment, operation.IsNarrow ? (uint)Registers.Rsi : Registers.Rsi);

    private ulong DestinationOf(StringOperation operation) => operation.IsNarrow ? (uint)Registers.Rdi : Registers.Rdi;

    private bool DoElement(StringOperation operation, in Instruction instruction, int size)
    {
        Span<byte> data = stackalloc byte[8];
        Span<byte> other = stackalloc byte[8];
        data.Clear();
        other.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(data, Registers.Rax);
        if (operation.HasSource && _transfer.Read(SourceOf(operation, instruction), data[..size], TrappedTransfer.AllBytes) != Errno.None)
        {
            return false;
        }

        Errno error = Errno.None;
        if (operation.Compares)
        {
            error = _transfer.Read(DestinationOf(operation), other[..size], TrappedTransfer.AllBytes);
        }
        else if (operation.HasDestination)
        {
            error = _transfer.Write(DestinationOf(operation), data[..size], TrappedTransfer.AllBytes);
        }

        if (error != Errno.None)
        {
            return false;
        }

        ulong value = BinaryPrimitives.ReadUInt64LittleEndian(data);
        if (operation.Compares)
        {
            Registers.Flags = (Registers.Flags & ~ArithmeticFlags) | Comparison.Flags(value, BinaryPrimitives.ReadUInt64LittleEndian(other), size);
        }
        else if (!operation.HasDestination)
        {
            // lods: a narrow one keeps the upper part of RAX, which `data` began with; one of 32 bits clears it.
            Registers.Rax = size == 4 ? (uint)value : value;
        }

        Step(operation, size);
        return true;
    }

    private void Step(StringOperation operation, int size)
    {
        ulong step = (Registers.Flags & DirectionFlag) != 0 ? (ulong)-size : (ulong)size;
        if (operation.HasSource)
        {
            Registers.Rsi = operation.IsNarrow ? (uint)(Registers.Rsi + step) : Registers.Rsi + step;
        }

        if (operation.HasDestination)
        {
            Registers.Rdi = operation.IsNarrow ? (uint)(Registers.Rdi + step) : Registers.Rdi + step;
        }
    }
}

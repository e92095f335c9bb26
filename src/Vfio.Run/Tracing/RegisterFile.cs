using System.Runtime.CompilerServices;
using Iced.Intel;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>The general registers of a thread by the decoder's names.</summary>
internal static class RegisterFile
{
    /// <summary>The value of a register, in the low bits.</summary>
    public static ulong Get(ref ThreadRegisters registers, Register register)
    {
        switch (register)
        {
            case Register.None:
            case Register.CS or Register.DS or Register.ES or Register.SS:
                return 0;
            case Register.FS:
                return registers.FsBase;
            case Register.GS:
                return registers.GsBase;
            case Register.RIP or Register.EIP:
                return registers.Rip;
            case Register.AH or Register.BH or Register.CH or Register.DH:
                return (Slot(ref registers, register.GetFullRegister()) >> 8) & 0xFF;
            default:
                ulong value = Slot(ref registers, register.GetFullRegister());
                return register.GetSize() switch
                {
                    1 => value & 0xFF,
                    2 => value & 0xFFFF,
                    4 => value & 0xFFFF_FFFF,
                    _ => value,
                };
        }
    }

    /// <summary>Writes a register as an instruction does: a 32-bit one clears the upper half, smaller ones keep the rest.</summary>
    public static void Set(ref ThreadRegisters registers, Register register, ulong value)
    {
        ref ulong slot = ref Slot(ref registers, register.GetFullRegister());
        slot = register switch
        {
            Register.AH or Register.BH or Register.CH or Register.DH => (slot & ~0xFF00ul) | ((value & 0xFF) << 8),
            _ => register.GetSize() switch
            {
                1 => (slot & ~0xFFul) | (value & 0xFF),
                2 => (slot & ~0xFFFFul) | (value & 0xFFFF),
                4 => value & 0xFFFF_FFFF,
                _ => value,
            },
        };
    }

    private static ref ulong Slot(ref ThreadRegisters registers, Register register)
    {
        switch (register)
        {
            case Register.RAX:
                return ref registers.Rax;
            case Register.RCX:
                return ref registers.Rcx;
            case Register.RDX:
                return ref registers.Rdx;
            case Register.RBX:
                return ref registers.Rbx;
            case Register.RSP:
                return ref registers.Rsp;
            case Register.RBP:
                return ref registers.Rbp;
            case Register.RSI:
                return ref registers.Rsi;
            case Register.RDI:
                return ref registers.Rdi;
            case Register.R8:
                return ref registers.R8;
            case Register.R9:
                return ref registers.R9;
            case Register.R10:
                return ref registers.R10;
            case Register.R11:
                return ref registers.R11;
            case Register.R12:
                return ref registers.R12;
            case Register.R13:
                return ref registers.R13;
            case Register.R14:
                return ref registers.R14;
            case Register.R15:
                return ref registers.R15;
            default:
                return ref Unsafe.NullRef<ulong>();
        }
    }
}

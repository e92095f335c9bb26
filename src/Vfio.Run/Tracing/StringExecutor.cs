using Iced.Intel;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>Executes movs, stos and lods, with and without rep, element by element.</summary>
internal static class StringExecutor
{
    private const ulong DirectionFlag = 0x400;

    /// <summary>Elements that are done before the thread gets a chance to take a signal; the instruction then goes on where it was.</summary>
    private const ulong MaximumElements = 65536;

    public static bool TryExecute(SupervisedProcess process, in Instruction instruction, ref ThreadRegisters registers)
    {
        int size = instruction.Mnemonic switch
        {
            Mnemonic.Movsb or Mnemonic.Stosb or Mnemonic.Lodsb => 1,
            Mnemonic.Movsw or Mnemonic.Stosw or Mnemonic.Lodsw => 2,
            Mnemonic.Movsd or Mnemonic.Stosd or Mnemonic.Lodsd => 4,
            Mnemonic.Movsq or Mnemonic.Stosq or Mnemonic.Lodsq => 8,
            _ => 0,
        };
        if (size == 0)
        {
            return false;
        }

        bool loads = instruction.Mnemonic is Mnemonic.Lodsb or Mnemonic.Lodsw or Mnemonic.Lodsd or Mnemonic.Lodsq;
        bool moves = instruction.Mnemonic is Mnemonic.Movsb or Mnemonic.Movsw or Mnemonic.Movsd or Mnemonic.Movsq;
        bool repeats = instruction.HasRepPrefix || instruction.HasRepnePrefix;
        ulong step = (registers.Flags & DirectionFlag) != 0 ? unchecked((ulong)-size) : (ulong)size;
        Span<byte> element = stackalloc byte[8];
        for (ulong i = 0; i < MaximumElements; i++)
        {
            if (repeats && registers.Rcx == 0)
            {
                registers.Rip = instruction.NextIP;
                return true;
            }

            if (moves || loads)
            {
                if (!ProgramBytes.TryRead(process, registers.Rsi, element[..size]))
                {
                    return i > 0;
                }
            }
            else
            {
                _ = BitConverter.TryWriteBytes(element, registers.Rax);
            }

            if (loads)
            {
                Register target = size switch { 1 => Register.AL, 2 => Register.AX, 4 => Register.EAX, _ => Register.RAX };
                RegisterFile.Set(ref registers, target, BitConverter.ToUInt64(element));
            }
            else if (!ProgramBytes.TryWrite(process, registers.Rdi, element[..size]))
            {
                // What was done stays done; the instruction meets the address again by itself.
                return i > 0;
            }

            registers.Rsi += moves || loads ? step : 0;
            registers.Rdi += loads ? 0 : step;
            if (!repeats)
            {
                registers.Rip = instruction.NextIP;
                return true;
            }

            registers.Rcx--;
        }

        return true;
    }
}

using Iced.Intel;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>Works out addresses of operands. Keeps its delegate, so that none is made for each access.</summary>
internal sealed class RegisterReader
{
    private readonly VAGetRegisterValue _read;
    private ThreadRegisters _registers;

    public RegisterReader()
    {
        _read = (register, _, _) => RegisterFile.Get(ref _registers, register);
    }

    public ulong AddressOf(in Instruction instruction, int operand, ref ThreadRegisters registers)
    {
        _registers = registers;
        return instruction.GetVirtualAddress(operand, 0, _read);
    }
}

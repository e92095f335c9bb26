using Iced.Intel;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>Stores of 64 bytes at once, as accelerators take their descriptors: they go to the device in one piece, also where the processor does not have them.</summary>
internal static class PortalStore
{
    private const int Size = 64;
    private const ulong ZeroFlag = 0x40;
    private const ulong ArithmeticFlags = 0x8D5;

    /// <summary>Executes it when it goes to a device.</summary>
    public static bool TryExecute(int thread, SupervisedProcess process, in Instruction instruction, ref ThreadRegisters registers)
    {
        ulong target = RegisterFile.Get(ref registers, instruction.Op0Register);
        ulong source = new RegisterReader().AddressOf(in instruction, 1, ref registers);
        Span<byte> bytes = stackalloc byte[Size];
        if (target % Size != 0 || !process.Mappings.TryFind(target, out TrappedAccess device) || !ProgramBytes.TryRead(process, source, bytes))
        {
            return false;
        }

        IoResult written = device.File.File.Write(bytes, device.Position);
        registers.Rip = instruction.NextIP;
        if (instruction.Mnemonic != Mnemonic.Movdir64b)
        {
            // The zero flag asks the program to try again.
            registers.Flags = (registers.Flags & ~ArithmeticFlags) | (written.IsError ? ZeroFlag : 0);
        }

        _ = ThreadTracing.Write(thread, in registers);
        _ = ThreadTracing.Resume(thread);
        return true;
    }
}

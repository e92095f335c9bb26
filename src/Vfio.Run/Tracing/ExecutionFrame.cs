using System.Runtime.InteropServices;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>What the code around an executed instruction takes and leaves; its address is that code's argument.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ExecutionFrame
{
    /// <summary>The program's registers; <see cref="ThreadRegisters.Rsp"/> is not looked at.</summary>
    internal ThreadRegisters Registers;

    /// <summary>Where the program's extended state is, aligned to 64 bytes.</summary>
    internal nint ExtendedState;

    /// <summary>The tracer's own MXCSR and x87 control word, meanwhile.</summary>
    internal uint OwnMxcsr;
    internal uint OwnControlWord;
}

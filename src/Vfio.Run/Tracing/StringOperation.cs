using System.Runtime.InteropServices;
using Iced.Intel;

namespace Vfio.Run;

/// <summary>What a string instruction does with an element.</summary>
/// <param name="HasSource">It takes the element at RSI.</param>
/// <param name="HasDestination">It has an element at RDI.</param>
/// <param name="Compares">It compares, and writes nothing.</param>
/// <param name="IsNarrow">RSI, RDI and RCX are taken as 32 bits.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct StringOperation(bool HasSource, bool HasDestination, bool Compares, bool IsNarrow)
{
    internal static StringOperation From(in Instruction instruction)
    {
        bool isNarrow = false;
        bool hasSource = false;
        bool hasDestination = false;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            OpKind kind = instruction.GetOpKind(i);
            isNarrow |= kind is OpKind.MemorySegESI or OpKind.MemoryESEDI;
            hasSource |= kind is OpKind.MemorySegESI or OpKind.MemorySegRSI;
            hasDestination |= kind is OpKind.MemoryESEDI or OpKind.MemoryESRDI;
        }

        bool compares = instruction.Mnemonic is Mnemonic.Cmpsb or Mnemonic.Cmpsw or Mnemonic.Cmpsd or Mnemonic.Cmpsq
            or Mnemonic.Scasb or Mnemonic.Scasw or Mnemonic.Scasd or Mnemonic.Scasq;
        return new StringOperation(hasSource, hasDestination, compares, isNarrow);
    }
}

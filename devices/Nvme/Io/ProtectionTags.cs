using System.Runtime.InteropServices;

namespace Vfio.Devices.Nvme;

/// <summary>What a command says about protection information: PRINFO in bits 29:26 of dword 12, the tags in dwords 14 and 15 (NVM Command Set 1.0 §3.2, §5.2).</summary>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct ProtectionTags(int Information, uint Reference, ushort Application, ushort Mask)
{
    private const int Act = 8;
    private const int CheckReference = 1;

    public ProtectionTags(in NvmeCommand command)
        : this((int)(command.Dword12 >> 26) & 15, command.Dword14, (ushort)command.Dword15, (ushort)(command.Dword15 >> 16))
    {
    }

    /// <summary>PRACT: the controller makes the information for a write and keeps it from the host at a read.</summary>
    public bool IsMadeHere => (Information & Act) != 0;

    /// <summary>PRCHK bit 2.</summary>
    public bool ChecksGuard => (Information & 4) != 0;

    /// <summary>PRCHK bit 1.</summary>
    public bool ChecksApplication => (Information & 2) != 0;

    /// <summary>PRCHK bit 0.</summary>
    public bool ChecksReference => (Information & CheckReference) != 0;

    /// <summary>Whether anything is checked.</summary>
    public bool Checks => (Information & 7) != 0;

    /// <summary>Whether a command may have these, at its first block.</summary>
    public bool AreValid(BlockFormat format, ulong first) => format.Protection switch
    {
        // With type 1 the reference tag is the block's number and nothing else.
        1 => !ChecksReference || Reference == (uint)first,

        // With type 3 it means nothing to the controller.
        3 => !ChecksReference,
        _ => true,
    };
}

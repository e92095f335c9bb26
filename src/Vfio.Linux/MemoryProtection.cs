namespace Vfio.Linux;

/// <summary>How a mapping may be accessed; the values are those of <c>PROT_READ</c>, <c>PROT_WRITE</c> and <c>PROT_EXEC</c>.</summary>
[Flags]
public enum MemoryProtection
{
    /// <summary>No access: address space held in reserve.</summary>
    None = 0,

    /// <summary>Loads.</summary>
    Read = 1,

    /// <summary>Stores.</summary>
    Write = 2,

    /// <summary>Instruction fetches.</summary>
    Execute = 4,

    /// <summary>Loads and stores.</summary>
    ReadWrite = Read | Write,
}

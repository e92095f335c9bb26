namespace Vfio.Pci;

/// <summary>What software's accesses do to a register, or to a field of one.</summary>
public enum RegisterAccess
{
    /// <summary>Read only (RO): writes are refused.</summary>
    ReadOnly,

    /// <summary>Read and write (RW).</summary>
    ReadWrite,

    /// <summary>Write only (WO): reads are refused.</summary>
    WriteOnly,

    /// <summary>Written ones clear bits (W1C).</summary>
    WriteOneToClear,

    /// <summary>Reads zero, ignores writes (RsvdZ), and neither is worth a log line.</summary>
    Reserved,

    /// <summary>Written ones set bits (W1S).</summary>
    WriteOneToSet,

    /// <summary>Written ones toggle bits (W1T).</summary>
    WriteOneToToggle,

    /// <summary>A read clears what it read (RC); writes are refused.</summary>
    ReadToClear,

    /// <summary>
    /// In the datasheet but not in the model: reads its reset value, ignores writes, and the first access is logged with the register's
    /// name. For whole registers only.
    /// </summary>
    Unimplemented,
}

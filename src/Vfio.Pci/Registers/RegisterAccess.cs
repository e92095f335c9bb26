namespace Vfio.Pci;

/// <summary>How software may use a register.</summary>
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
}

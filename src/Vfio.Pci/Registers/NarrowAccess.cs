namespace Vfio.Pci;

/// <summary>What an access means that is narrower than its register.</summary>
public enum NarrowAccess
{
    /// <summary>
    /// The part of the register at those bytes: a write keeps the other bytes (read, merge, write). For write-only and
    /// write-one-to-clear registers the other bytes are zero.
    /// </summary>
    Part,

    /// <summary>The register as a whole, at its first byte only: reads are truncated, writes are zero-extended over all of it.</summary>
    ZeroExtend,
}

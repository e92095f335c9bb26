namespace Vfio.Drivers.Nvme;

/// <summary>How commands describe memory.</summary>
public enum NvmeDataPointer
{
    /// <summary>By SGL where the controller takes them and a PRP list would be needed, by PRP otherwise.</summary>
    Auto,

    /// <summary>By PRP always.</summary>
    Prp,

    /// <summary>By SGL always; opening fails when the controller does not take them.</summary>
    Sgl,
}

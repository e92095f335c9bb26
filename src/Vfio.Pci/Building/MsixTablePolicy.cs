namespace Vfio.Pci;

/// <summary>What accesses to the MSI-X table through the region see.</summary>
public enum MsixTablePolicy
{
    /// <summary>The table: it reads back what was written, and its masks count once an entry was written. See <c>docs/adr</c> on MSI-X masks.</summary>
    Live,

    /// <summary>What <c>vfio-pci</c> shows: reads give ones, writes are dropped (spec vfio-core §5.8).</summary>
    Hidden,
}

using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio;

/// <summary>The part of a pSeries (sPAPR) platform that translates the DMA of one IOMMU group: tables of translation control entries (TCE).</summary>
/// <remarks>
/// <c>iommu_table_group</c> and its ops; spec vfio-core §11. It is the group's <see cref="IommuGroup.Hardware"/>; a group with other hardware
/// does not fit into an sPAPR container. Called under the container's and the instance's lock. <see cref="SimulatedSpaprTableGroup"/> comes
/// with the library.
/// </remarks>
public interface ISpaprTableGroup : IIommuHardware
{
    /// <summary>What says whose tables are alike: groups share a container when theirs are equal (<c>iommu_table_group_ops</c>).</summary>
    object Kind { get; }

    /// <summary>First bus address of the default window.</summary>
    uint DefaultWindowStart { get; }

    /// <summary>Length of the default window in bytes; 0 when there is none.</summary>
    uint DefaultWindowSize { get; }

    /// <summary>The page sizes of windows, one bit each.</summary>
    ulong PageSizes { get; }

    /// <summary>How many windows a user may have; 0 when windows cannot be made and removed.</summary>
    uint MaximumWindows { get; }

    /// <summary>The most levels of a table.</summary>
    uint MaximumLevels { get; }

    /// <summary>The partitionable endpoint of the group's devices, for error handling; null when there is none.</summary>
    SpaprEndpoint? Endpoint { get; }

    /// <summary>Tells how much memory a table takes.</summary>
    /// <param name="pageShift">log₂ of the page size.</param>
    /// <param name="size">Length of the window in bytes.</param>
    /// <param name="levels">Levels of the table.</param>
    /// <returns>Bytes; 0 when there can be no such window.</returns>
    /// <remarks><c>get_table_size</c>.</remarks>
    ulong GetTableSize(int pageShift, ulong size, uint levels);

    /// <summary>The bus address at which a window begins.</summary>
    /// <param name="number">0 or 1.</param>
    /// <returns>The address.</returns>
    ulong GetWindowStart(int number);

    /// <summary>Makes the group's devices see a window.</summary>
    /// <param name="number">0 or 1.</param>
    /// <param name="window">The window.</param>
    /// <returns><see cref="Errno.None"/>, or why not.</returns>
    /// <remarks><c>set_window</c>.</remarks>
    Errno SetWindow(int number, SpaprWindow window);

    /// <summary>Takes a window away from the group's devices.</summary>
    /// <param name="number">0 or 1.</param>
    /// <remarks><c>unset_window</c>.</remarks>
    void UnsetWindow(int number);
}

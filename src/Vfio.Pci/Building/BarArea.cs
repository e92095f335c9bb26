namespace Vfio.Pci;

/// <summary>A part of a BAR and what answers there: registers or shared memory.</summary>
internal sealed class BarArea
{
    public required ulong Offset { get; init; }

    public required ulong Length { get; init; }

    public RegisterBlock? Block { get; init; }

    public BarMemory? Memory { get; init; }

    /// <summary>Hears of writes to the memory that were accesses of the region.</summary>
    public Action? Written { get; init; }

    /// <summary>MSI-X areas lie over shared memory, as on a device whose table page is mapped.</summary>
    public bool IsOverlay { get; init; }

    public ulong End => Offset + Length;

    public string Name => Block?.Name ?? Memory!.Name;
}

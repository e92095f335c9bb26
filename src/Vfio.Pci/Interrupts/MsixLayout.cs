namespace Vfio.Pci;

/// <summary>Where the MSI-X capability, table and pending bits lie.</summary>
internal sealed record MsixLayout(int Offset, int Vectors, int Bar, ulong Table, ulong Pba);

namespace Vfio.Pci;

/// <summary>Where the MSI capability lies and what it has.</summary>
internal sealed record MsiLayout(int Offset, int Vectors, bool Maskable, bool Is64Bit);

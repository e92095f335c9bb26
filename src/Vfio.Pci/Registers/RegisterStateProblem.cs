namespace Vfio.Pci;

/// <summary>Why a saved state is refused.</summary>
internal enum RegisterStateProblem : byte
{
    None,
    UnknownFormat,
    UnknownVersion,
    Length,
    Register,
    Shape,
    Bits,
}

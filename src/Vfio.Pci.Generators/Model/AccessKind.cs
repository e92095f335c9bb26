namespace Vfio.Pci.Generators.Model;

/// <summary>The values of <c>Vfio.Pci.RegisterAccess</c>; a test compares.</summary>
internal enum AccessKind
{
    ReadOnly,
    ReadWrite,
    WriteOnly,
    WriteOneToClear,
    Reserved,
    WriteOneToSet,
    WriteOneToToggle,
    ReadToClear,
    Unimplemented,
}

namespace Vfio.Abi.Tests;

/// <summary>One fact about the ABI: the size of a structure, the place of a field, or the value of a constant.</summary>
/// <param name="Name">Unique: <c>s</c>, <c>s.f</c>, or the constant's name.</param>
/// <param name="Expected">The fact as text: <c>24</c>, <c>8/4</c>, <c>15206</c>, <c>"vfio-pci"</c>.</param>
/// <param name="Structure">The structure the fact is about, or null for a constant.</param>
/// <param name="Field">The field the fact is about, or null.</param>
/// <param name="IsSigned">For a field that is an integer: whether it is signed; null for everything else.</param>
/// <param name="HasHeader">False for what no C header of Linux defines (the vfio-user wire).</param>
public sealed record AbiSymbol(string Name, string Expected, string? Structure, string? Field, bool? IsSigned, bool HasHeader);

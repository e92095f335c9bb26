using System.Runtime.InteropServices;

namespace Vfio;

/// <summary>A capability of a function, as its lists have it.</summary>
/// <param name="Id">Its number: a <see cref="PciCapabilityId"/>, or a <see cref="PciExtendedCapabilityId"/> when <paramref name="IsExtended"/>.</param>
/// <param name="Offset">Where it starts in configuration space, in bytes.</param>
/// <param name="IsExtended">Whether it is behind the first 256 bytes.</param>
/// <param name="Version">Its version; 0 for one that is not extended.</param>
[StructLayout(LayoutKind.Auto)]
public readonly record struct PciCapabilityEntry(ushort Id, int Offset, bool IsExtended, int Version);

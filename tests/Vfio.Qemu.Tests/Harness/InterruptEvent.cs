namespace Vfio.Qemu.Tests.Harness;

/// <summary>A change of an input of the I/O APIC.</summary>
/// <param name="Pin">The input, 0 to 23; the four PCI interrupt lines of a slot lead to 16 and above.</param>
/// <param name="Raised">Whether the line went up.</param>
public readonly record struct InterruptEvent(int Pin, bool Raised);

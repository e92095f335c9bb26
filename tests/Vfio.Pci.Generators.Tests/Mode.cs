namespace Vfio.Pci.Generators.Tests;

/// <summary>Values of a field.</summary>
public enum Mode
{
    Off,
    Slow = 2,
    VeryFast = 5,
}

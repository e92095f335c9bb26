namespace Vfio.Tests;

/// <summary>A device without any callback of its own: every answer is the core's.</summary>
internal sealed class PlainDevice : VfioDevice;

namespace Vfio.Devices.Igb.Tests;

/// <summary>A packet that a test has received.</summary>
/// <param name="Data">Its bytes.</param>
/// <param name="Status">Status and errors of its last descriptor.</param>
/// <param name="Tag">Its tag.</param>
internal sealed record Received(byte[] Data, uint Status, int Tag);

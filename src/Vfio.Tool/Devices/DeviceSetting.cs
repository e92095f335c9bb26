namespace Vfio.Tool.Devices;

/// <summary>A setting of a device model.</summary>
/// <param name="Name">What stands before the equals sign.</param>
/// <param name="Accepts">What may stand behind it.</param>
/// <param name="Default">What holds without it.</param>
internal sealed record DeviceSetting(string Name, string Accepts, string Default);

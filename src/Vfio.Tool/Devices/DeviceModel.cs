namespace Vfio.Tool.Devices;

/// <summary>A device that can be served: its name, what it is, and how it is made from settings.</summary>
/// <param name="Name">The name on the command line.</param>
/// <param name="Summary">One line.</param>
/// <param name="Settings">The settings it takes.</param>
/// <param name="Prepare">Checks settings and gives the constructor; throws <see cref="FormatException"/> for a wrong one.</param>
internal sealed record DeviceModel(
    string Name,
    string Summary,
    IReadOnlyList<DeviceSetting> Settings,
    Func<IReadOnlyList<string>, Func<VfioDevice>> Prepare)
{
    /// <summary>What the person who started the device must know of it, in lines: such as which pseudo-terminal a port has.</summary>
    public Func<VfioDevice, IEnumerable<string>> Announce { get; init; } = static _ => [];
}

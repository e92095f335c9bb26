using Vfio.Run;
using Vfio.Tool.Serving;
using Vfio.User;

namespace Vfio.Tool.Devices;

/// <summary>A device that a program is run with.</summary>
/// <param name="Model">The model's name, or the address of a server.</param>
/// <param name="Create">Makes the device.</param>
/// <param name="Address">Where it stands; null for anywhere.</param>
internal sealed record RunDevice(string Model, Func<VfioDevice> Create, PciName? Address)
{
    /// <summary>What a device of a vfio-user server begins with; its socket follows.</summary>
    private const string Scheme = "unix:";

    /// <summary>Reads what the command line and a file say.</summary>
    /// <exception cref="UsageException">Something is malformed.</exception>
    public static IReadOnlyList<RunDevice> Read(IReadOnlyList<string> options, FileInfo? configuration)
    {
        List<RunDevice> devices = [];
        foreach (string option in options)
        {
            string[] parts = option.Split('@');
            (string model, Func<VfioDevice> create) = Prepare(parts[0]);
            if (parts.Length == 1)
            {
                devices.Add(new RunDevice(model, create, null));
            }

            foreach (string address in parts[1..])
            {
                if (!PciName.TryParse(address, out PciName name))
                {
                    throw new UsageException($"--device {option}: '{address}' is no PCI address; 0000:06:0d.0 is one.");
                }

                devices.Add(new RunDevice(model, create, name));
            }
        }

        if (configuration is not null)
        {
            devices.AddRange(new HostConfiguration(configuration).Read().Select(static served => new RunDevice(served.Model, served.Create, null)));
        }

        return devices;
    }

    private static (string Model, Func<VfioDevice> Create) Prepare(string option)
    {
        if (option.StartsWith(Scheme, StringComparison.Ordinal))
        {
            string path = option[Scheme.Length..];
            return (option, () => VfioUserDevice.Create(path));
        }

        string[] parts = option.Split(',');
        return (parts[0], DeviceCatalog.Prepare(parts[0], parts[1..]));
    }
}

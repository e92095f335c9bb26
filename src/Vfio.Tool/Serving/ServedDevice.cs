using System.Globalization;
using Vfio.Tool.Devices;

namespace Vfio.Tool.Serving;

/// <summary>A device to be served: what it is called, its model and settings, how it is made, and where.</summary>
/// <param name="Name">Its name in the host.</param>
/// <param name="Model">The model's name.</param>
/// <param name="Settings">Its settings, KEY=VALUE.</param>
/// <param name="Create">Makes the device.</param>
/// <param name="SocketPath">Where it listens, or null.</param>
/// <param name="Descriptor">The socket's number when there is no path.</param>
internal sealed record ServedDevice(string Name, string Model, IReadOnlyList<string> Settings, Func<VfioDevice> Create, string? SocketPath, int Descriptor)
{
    /// <summary>Where it is served, for people.</summary>
    public string Place => SocketPath ?? string.Create(CultureInfo.InvariantCulture, $"fd {Descriptor}");

    /// <summary>Makes the description of one device from a command line.</summary>
    /// <param name="model">The model.</param>
    /// <param name="path">Where to listen, or null.</param>
    /// <param name="descriptor">The socket to use, or null.</param>
    /// <param name="settings">Settings.</param>
    /// <exception cref="UsageException">Something is missing, or too much, or wrong.</exception>
    public static ServedDevice FromCommandLine(string? model, string? path, int? descriptor, string[] settings)
    {
        if (model is null)
        {
            throw new UsageException($"Name a device model ({string.Join(", ", DeviceCatalog.Models.Select(static known => known.Name))}) or give --config FILE.");
        }

        Func<VfioDevice> create = DeviceCatalog.Prepare(model, settings);
        if (string.IsNullOrEmpty(path) && descriptor is null && SocketActivation.Take() is [var only])
        {
            descriptor = only.Descriptor;
        }

        return string.IsNullOrEmpty(path) == (descriptor is null)
            ? throw new UsageException("Say where to serve: one of --socket-path PATH and --fd NUMBER, or a socket from the service manager (LISTEN_FDS).")
            : new ServedDevice(model, model, settings, create, path, descriptor ?? -1);
    }

    /// <summary>Whether a device made from the one can stay when the other is wanted.</summary>
    public bool IsSameAs(ServedDevice other)
        => (Name, Model, SocketPath, Descriptor) == (other.Name, other.Model, other.SocketPath, other.Descriptor)
            && Settings.Order(StringComparer.Ordinal).SequenceEqual(other.Settings.Order(StringComparer.Ordinal));
}

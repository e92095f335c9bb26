using System.Text.Json.Nodes;

namespace Vfio.Tool.Qemu;

/// <summary>
/// A device of the machine, for <c>-device</c> or for the QMP command <c>device_add</c>, which take the same properties.
/// </summary>
public sealed record QemuDevice
{
    private readonly JsonObject _properties;

    private QemuDevice(JsonObject properties) => _properties = properties;

    /// <summary>A device of QEMU's own by its driver name.</summary>
    public static QemuDevice Of(string driver) => new(new JsonObject { ["driver"] = driver });

    /// <summary>A device behind a vfio-user server that listens on <paramref name="socketPath"/> already.</summary>
    public static QemuDevice VfioUser(string socketPath) => new(new JsonObject
    {
        ["driver"] = "vfio-user-pci",
        ["socket"] = new JsonObject { ["type"] = "unix", ["path"] = socketPath },
    });

    /// <summary>The same device with one more property, e.g. <c>x-no-posted-writes</c>.</summary>
    public QemuDevice With(string name, JsonNode value)
    {
        var properties = (JsonObject)_properties.DeepClone();
        properties[name] = value;
        return new QemuDevice(properties);
    }

    /// <summary>The same device at a slot of the root bus.</summary>
    public QemuDevice At(int slot) => With("addr", $"{slot:x}.0");

    /// <summary>The same device with a name for QMP.</summary>
    public QemuDevice Named(string id) => With("id", id);

    /// <summary>The same device on a bus, e.g. a root port for hot-plugging.</summary>
    public QemuDevice On(string bus) => With("bus", bus);

    /// <summary>A copy of the properties, <c>driver</c> included.</summary>
    public JsonObject ToJson() => (JsonObject)_properties.DeepClone();

    public override string ToString() => _properties.ToJsonString();
}

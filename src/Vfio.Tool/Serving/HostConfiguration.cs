using System.Text.Json;
using System.Text.Json.Nodes;
using Vfio.Tool.Devices;

namespace Vfio.Tool.Serving;

/// <summary>
/// A file that describes the devices of a process:
/// <c>{"devices": [{"name": …, "model": …, "socketPath": …, "settings": {…}}]}</c>. A device without a name is called by its model and its place
/// in the list; one without a path gets the socket of its name from the service manager.
/// </summary>
internal sealed class HostConfiguration(FileInfo file)
{
    private readonly IReadOnlyList<(string Name, int Descriptor)> _sockets = SocketActivation.Take();

    /// <summary>Reads the file.</summary>
    /// <exception cref="UsageException">It cannot be read, or something in it is wrong; the message says what.</exception>
    public IReadOnlyList<ServedDevice> Read()
    {
        JsonNode? root;
        try
        {
            root = JsonNode.Parse(File.ReadAllText(file.FullName), documentOptions: new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--config {file} cannot be read: {exception.Message}");
        }
        catch (JsonException exception)
        {
            throw new UsageException($"{file}: {exception.Message}");
        }

        JsonArray entries = (root as JsonObject)?["devices"] as JsonArray ?? [];
        List<ServedDevice> devices = [];
        foreach (JsonNode? entry in entries)
        {
            ServedDevice device = Describe(entry, devices.Count, entries.Count);
            if (devices.Find(other => other.Name == device.Name || other.Place == device.Place) is { } twin)
            {
                throw new UsageException($"{file}: two devices are called {twin.Name} or listen on {twin.Place}.");
            }

            devices.Add(device);
        }

        return devices.Count > 0
            ? devices
            : throw new UsageException($"{file} describes no device: it holds {{\"devices\": [{{\"model\": …, \"socketPath\": …, \"settings\": {{…}}}}]}}.");
    }

    private ServedDevice Describe(JsonNode? entry, int index, int count)
    {
        string model = Text(entry, "model") ?? throw new UsageException($"{file}: every device has a \"model\" that is a text.");
        string name = Text(entry, "name") ?? (count == 1 ? model : $"{model}{index}");
        string? path = Text(entry, "socketPath");
        string[] settings = [.. ((entry as JsonObject)?["settings"] as JsonObject ?? []).Select(static setting => $"{setting.Key}={setting.Value}")];
        (string Name, int Descriptor) socket = _sockets.FirstOrDefault(socket => socket.Name == name);
        return path is null && socket.Name is null
            ? throw new UsageException($"{file}: {name} has no \"socketPath\", and the service manager gave no socket of that name.")
            : new ServedDevice(name, model, settings, DeviceCatalog.Prepare(model, settings), path, path is null ? socket.Descriptor : -1);
    }

    private string? Text(JsonNode? entry, string key) => entry is not JsonObject fields
        ? throw new UsageException($"{file}: a device is an object with \"model\" and \"socketPath\".")
        : fields[key] is not { } value
            ? null
            : value is JsonValue text && text.TryGetValue(out string? result) && result.Length > 0
                ? result
                : throw new UsageException($"{file}: \"{key}\" of a device is a text.");
}

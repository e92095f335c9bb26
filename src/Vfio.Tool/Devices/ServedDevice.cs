using System.Text.Json;
using System.Text.Json.Nodes;

namespace Vfio.Tool.Devices;

/// <summary>A device to be served: its model, how it is made, and where.</summary>
/// <param name="Model">The model's name.</param>
/// <param name="Create">Makes the device.</param>
/// <param name="SocketPath">Where it listens, or null.</param>
/// <param name="Descriptor">The socket's number when there is no path.</param>
internal sealed record ServedDevice(string Model, Func<VfioDevice> Create, string? SocketPath, int Descriptor)
{
    public static List<ServedDevice> FromCommandLine(string? model, string? path, int? descriptor, string[] settings, FileInfo? config)
    {
        if (config is not null)
        {
            return model is null && path is null && descriptor is null && settings.Length == 0
                ? FromFile(config)
                : throw new UsageException("--config describes all devices; it goes with no model, --socket-path, --fd or --set.");
        }

        if (model is null)
        {
            throw new UsageException($"Name a device model ({string.Join(", ", DeviceCatalog.Models.Select(static known => known.Name))}) or give --config FILE.");
        }

        Func<VfioDevice> create = DeviceCatalog.Prepare(model, settings);
        if (string.IsNullOrEmpty(path) == (descriptor is null))
        {
            throw new UsageException("Say where to serve: one of --socket-path PATH and --fd NUMBER.");
        }

        return [new ServedDevice(model, create, path, descriptor ?? -1)];
    }

    /// <summary>Reads <c>{"devices": [{"model": …, "socketPath": …, "settings": {…}}]}</c>.</summary>
    private static List<ServedDevice> FromFile(FileInfo file)
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

        List<ServedDevice> devices = [];
        foreach (JsonNode? entry in (root as JsonObject)?["devices"] as JsonArray ?? [])
        {
            string model = Text(file, entry, "model");
            string path = Text(file, entry, "socketPath");
            string[] settings = [.. ((entry as JsonObject)?["settings"] as JsonObject ?? []).Select(static setting => $"{setting.Key}={setting.Value}")];
            devices.Add(new ServedDevice(model, DeviceCatalog.Prepare(model, settings), path, -1));
        }

        return devices.Count > 0
            ? devices
            : throw new UsageException($"{file} describes no device: it holds {{\"devices\": [{{\"model\": …, \"socketPath\": …, \"settings\": {{…}}}}]}}.");
    }

    private static string Text(FileInfo file, JsonNode? entry, string key)
        => entry is JsonObject fields && fields[key] is JsonValue value && value.TryGetValue(out string? text) && text.Length > 0
            ? text
            : throw new UsageException($"{file}: every device has a \"{key}\" that is a text.");
}

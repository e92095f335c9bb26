using System.Globalization;

namespace Vfio.Devices.Nvme;

/// <content>Settings as a command line gives them.</content>
public sealed partial record NvmeOptions
{
    private const string Accepted = "size, block, metadata, protection, extended, file, metafile, readonly, namespaces, capacity, serial, model, queues, entries and poll";

    /// <summary>Makes options from settings as a command line gives them.</summary>
    /// <param name="settings">
    /// <c>size=64M</c>, <c>block=512</c>, <c>metadata=0</c>, <c>protection=0</c>, <c>extended=off</c>, <c>file=PATH</c> (then <c>size</c> counts when
    /// the file is made), <c>metafile=PATH</c> (metadata of a file), <c>readonly=on</c>, <c>namespaces=1</c> (all alike, in memory), <c>capacity=0</c>, <c>serial=TEXT</c>, <c>model=TEXT</c>, <c>queues=16</c>, <c>entries=1024</c>,
    /// <c>poll=on</c>. Sizes may end in K, M, G or T.
    /// </param>
    /// <returns>The options. Nothing is opened yet.</returns>
    /// <exception cref="FormatException">A setting is unknown or its value is not accepted; the message says what is.</exception>
    public static NvmeOptions Parse(IEnumerable<string> settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        var options = new NvmeOptions();
        var ns = new NvmeNamespaceOptions();
        string? file = null;
        string? metafile = null;
        bool isReadOnly = false;
        int namespaces = 1;
        foreach (string setting in settings)
        {
            int equals = setting.IndexOf('=', StringComparison.Ordinal);
            string key = equals < 0 ? setting : setting[..equals];
            string value = equals < 0 ? "" : setting[(equals + 1)..];
            switch (key)
            {
                case "size":
                    ns = ns with { Size = Size(setting, value) };
                    break;
                case "block":
                    ns = ns with { BlockSize = Number(setting, value) };
                    break;
                case "metadata":
                    ns = ns with { MetadataSize = Number(setting, value) };
                    break;
                case "protection":
                    ns = ns with { Protection = Number(setting, value) };
                    break;
                case "extended":
                    ns = ns with { IsMetadataExtended = Switch(setting, value) };
                    break;
                case "capacity":
                    options = options with { ManagedCapacity = Size(setting, value) };
                    break;
                case "metafile" when value.Length != 0:
                    metafile = value;
                    break;
                case "file" when value.Length != 0:
                    file = value;
                    break;
                case "readonly":
                    isReadOnly = Switch(setting, value);
                    break;
                case "namespaces":
                    namespaces = Number(setting, value);
                    break;
                case "serial":
                    options = options with { Serial = value };
                    break;
                case "model":
                    options = options with { Model = value };
                    break;
                case "queues":
                    options = options with { Queues = Number(setting, value) };
                    break;
                case "entries":
                    options = options with { QueueEntries = Number(setting, value) };
                    break;
                case "poll":
                    options = options with { Polled = Switch(setting, value) };
                    break;
                default:
                    throw new FormatException($"nvme setting '{setting}' is not accepted; {Accepted} are known.");
            }
        }

        if ((file is not null && namespaces != 1) || (file is null && (isReadOnly || metafile is not null)) || namespaces is < 1 or > 256)
        {
            throw new FormatException("nvme: a file holds one namespace, readonly and metafile need a file, and 1 to 256 namespaces are accepted.");
        }

        if (file is not null)
        {
            ns = ns with
            {
                Backend = size => new FileBackend(file, size, isReadOnly),
                MetadataBackend = metafile is null ? null : size => new FileBackend(metafile, Math.Max(size, FileBackend.MinimumLength), isReadOnly),
            };
        }

        options = options with { Namespaces = [.. Enumerable.Repeat(ns, namespaces)] };
        return options.FindMistake() is { } mistake ? throw new FormatException(mistake) : options;
    }

    private static int Number(string setting, string value) => int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
        ? number
        : throw new FormatException($"nvme setting '{setting}': a number is accepted.");

    private static bool Switch(string setting, string value) => value switch
    {
        "on" => true,
        "off" => false,
        _ => throw new FormatException($"nvme setting '{setting}': on and off are accepted."),
    };

    private static ulong Size(string setting, string value)
    {
        int unit = value.Length == 0 ? -1 : "KMGT".IndexOf(value[^1], StringComparison.Ordinal);
        string digits = unit < 0 ? value : value[..^1];
        int shift = 10 * (unit + 1);
        return ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out ulong number) && number <= ulong.MaxValue >> shift
            ? number << shift
            : throw new FormatException($"nvme setting '{setting}': a number of bytes is accepted, which may end in K, M, G or T.");
    }
}

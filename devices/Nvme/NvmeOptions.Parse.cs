using System.Globalization;

namespace Vfio.Devices.Nvme;

/// <content>Settings as a command line gives them.</content>
public sealed partial record NvmeOptions
{
    private const string Accepted = "size, block, metadata, protection, extended, zone_size, zone_capacity, max_open, max_active, zonefile, backend, backend2 to backend256, file, metafile, readonly, namespaces, capacity, serial, model, queues, entries and poll";

    /// <summary>Makes options from settings as a command line gives them.</summary>
    /// <param name="settings">
    /// <c>size=64M</c>, <c>block=512</c>, <c>metadata=0</c>, <c>protection=0</c>, <c>extended=off</c>, <c>backend=URI</c> and <c>backend2=URI</c>
    /// and so on (<see cref="NvmeBackendUri"/>), <c>file=PATH</c> (then <c>size</c> counts when
    /// the file is made), <c>metafile=PATH</c> (metadata of a file), <c>zone_size=64M</c>, <c>zone_capacity=48M</c>, <c>max_open=0</c>, <c>max_active=0</c>, <c>zonefile=PATH</c> (zones of a file), <c>readonly=on</c>, <c>namespaces=1</c> (all alike, in memory), <c>capacity=0</c>, <c>serial=TEXT</c>, <c>model=TEXT</c>, <c>queues=16</c>, <c>entries=1024</c>,
    /// <c>poll=on</c> (or <c>adaptive</c>). Sizes may end in K, M, G or T.
    /// </param>
    /// <returns>The options. Nothing is opened yet.</returns>
    /// <exception cref="FormatException">A setting is unknown or its value is not accepted; the message says what is.</exception>
    public static NvmeOptions Parse(IEnumerable<string> settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        var options = new NvmeOptions();
        var ns = new NvmeNamespaceOptions();
        string? file = null;
        var backends = new SortedDictionary<int, NvmeBackendUri>();
        string? metafile = null;
        NvmeZoneOptions? zones = null;
        string? zonefile = null;
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
                case "zone_size":
                    zones = (zones ?? new()) with { Size = Size(setting, value) };
                    break;
                case "zone_capacity":
                    zones = (zones ?? new()) with { Capacity = Size(setting, value) };
                    break;
                case "max_open":
                    zones = (zones ?? new()) with { MaxOpen = Number(setting, value) };
                    break;
                case "max_active":
                    zones = (zones ?? new()) with { MaxActive = Number(setting, value) };
                    break;
                case "zonefile" when value.Length != 0:
                    zones ??= new();
                    zonefile = value;
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
                    options = value == "adaptive" ? options with { Polled = true, RestsWhenIdle = true } : options with { Polled = Switch(setting, value) };
                    break;
                case var _ when TryBackend(key) is { } index:
                    backends[index] = NvmeBackendUri.Parse(value);
                    break;
                default:
                    throw new FormatException($"nvme setting '{setting}' is not accepted; {Accepted} are known.");
            }
        }

        if (zonefile is not null)
        {
            if (namespaces != 1 || backends.Count > 1)
            {
                throw new FormatException("nvme: zonefile is for one namespace.");
            }

            zones = zones! with { Backend = size => new FileBackend(zonefile, Math.Max(size, FileBackend.MinimumLength), isReadOnly) };
        }

        ns = ns with { Zones = zones };
        if (backends.Count == 0 && ((file is not null && namespaces != 1) || (file is null && (isReadOnly || metafile is not null)) || namespaces is < 1 or > 256))
        {
            throw new FormatException("nvme: a file holds one namespace, readonly and metafile need a file, and 1 to 256 namespaces are accepted.");
        }

        if (backends.Count != 0)
        {
            return Finish(options, ns, backends, plain: file is not null || isReadOnly || namespaces != 1, metafile);
        }

        if (file is not null)
        {
            ns = ns with
            {
                Backend = size => new FileBackend(file, size, isReadOnly),
                MetadataBackend = metafile is null ? null : size => new FileBackend(metafile, Math.Max(size, FileBackend.MinimumLength), isReadOnly),
            };
        }

        return Checked(options with { Namespaces = [.. Enumerable.Repeat(ns, namespaces)] });
    }

    /// <summary>Namespaces that each have a backend of their own.</summary>
    private static NvmeOptions Finish(NvmeOptions options, NvmeNamespaceOptions ns, SortedDictionary<int, NvmeBackendUri> backends, bool plain, string? metafile)
    {
        if (plain)
        {
            throw new FormatException("nvme: with backend=URI the file is in the URI (file:PATH), so is readonly (readonly=1), and each namespace has a URI (backend2=URI …): file, readonly and namespaces are not accepted.");
        }

        if (backends.Keys.Last() != backends.Count)
        {
            throw new FormatException($"nvme: backend{backends.Keys.Last()} is given and one before it is not; the namespaces are backend, backend2, backend3 and so on.");
        }

        if (metafile is not null && backends.Count != 1)
        {
            throw new FormatException("nvme: metafile is for one namespace.");
        }

        return Checked(options with
        {
            Namespaces =
            [
                .. backends.Values.Select(uri => ns with
                {
                    Backend = uri.Open,
                    MetadataBackend = metafile is null ? null : size => new FileBackend(metafile, Math.Max(size, FileBackend.MinimumLength)),
                }),
            ],
        });
    }

    private static NvmeOptions Checked(NvmeOptions options) => options.FindMistake() is { } mistake ? throw new FormatException(mistake) : options;

    /// <summary>Which namespace a key is the backend of: <c>backend</c> of the first, <c>backend2</c> of the second.</summary>
    private static int? TryBackend(string key)
    {
        const string Name = "backend";
        return key == Name ? 1
            : key.StartsWith(Name, StringComparison.Ordinal) && key[Name.Length] != '0'
                && int.TryParse(key.AsSpan(Name.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int index) && index is >= 1 and <= 256 ? index
            : null;
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

    private static ulong Size(string setting, string value) => SizeText.TryParse(value, out ulong size)
        ? size
        : throw new FormatException($"nvme setting '{setting}': a number of bytes is accepted, which may end in K, M, G or T.");
}

using System.Globalization;

namespace Vfio.Devices.Nvme;

/// <summary>The options behind the question mark of a backend's URI. Each is taken once; what nobody takes is a mistake.</summary>
internal sealed class BackendQuery
{
    private readonly Dictionary<string, string> _values = new(StringComparer.Ordinal);
    private readonly SortedSet<string> _known = new(StringComparer.Ordinal);
    private readonly string _uri;

    /// <param name="uri">The whole URI, for messages.</param>
    /// <param name="query">What is behind the question mark; null for nothing.</param>
    /// <exception cref="FormatException">An option is given twice.</exception>
    public BackendQuery(string uri, string? query)
    {
        _uri = uri;
        foreach (string option in (query ?? "").Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            int equals = option.IndexOf('=', StringComparison.Ordinal);
            string key = Uri.UnescapeDataString(equals < 0 ? option : option[..equals]);
            if (!_values.TryAdd(key, equals < 0 ? "" : Uri.UnescapeDataString(option[(equals + 1)..])))
            {
                throw new FormatException($"nvme backend '{_uri}': {key} is given twice.");
            }
        }
    }

    /// <summary>Takes a text; null when it is not given.</summary>
    public string? Text(string key)
    {
        _known.Add(key);
        return _values.Remove(key, out string? value)
            ? value.Length == 0 ? throw new FormatException($"nvme backend '{_uri}': {key} needs a value.") : value
            : null;
    }

    /// <summary>Takes a switch: 1, 0, on, off, true, false, yes, no.</summary>
    public bool Switch(string key, bool otherwise) => Text(key) switch
    {
        null => otherwise,
        "1" or "on" or "true" or "yes" => true,
        "0" or "off" or "false" or "no" => false,
        _ => throw new FormatException($"nvme backend '{_uri}': {key}=1 and {key}=0 are accepted."),
    };

    /// <summary>Takes a number of bytes.</summary>
    public ulong Size(string key) => Text(key) is not { } text ? 0
        : SizeText.TryParse(text, out ulong size) && size != 0 ? size
        : throw new FormatException($"nvme backend '{_uri}': {key} is a number of bytes, which may end in K, M, G or T.");

    /// <summary>Takes a time in seconds.</summary>
    public TimeSpan Seconds(string key, TimeSpan otherwise, double least = 0) => Text(key) is not { } text ? otherwise
        : double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double seconds) && seconds >= least && seconds <= 86_400
            ? TimeSpan.FromSeconds(seconds)
            : throw new FormatException($"nvme backend '{_uri}': {key} is a time in seconds from {least.ToString(CultureInfo.InvariantCulture)} to 86400.");

    /// <summary>All that are known were taken.</summary>
    /// <exception cref="FormatException">There is another.</exception>
    public void End()
    {
        if (_values.Count != 0)
        {
            string known = _known.Count == 0 ? "it has no options" : $"known are {string.Join(", ", _known)}";
            throw new FormatException($"nvme backend '{_uri}': the option {_values.Keys.First()} is not known; {known}.");
        }
    }
}

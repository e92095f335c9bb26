using System.Globalization;

namespace Vfio.Devices.Serial;

/// <summary>Settings of a <see cref="SerialDevice"/>.</summary>
public sealed record SerialOptions
{
    private const string Accepted = "ports=1, 2, 4 or 8, and port0=pty, stdio, unix:PATH, loop or null for each port";

    /// <summary>Number of ports: 1, 2, 4 or 8.</summary>
    public int Ports { get; init; } = 1;

    /// <summary>Makes the other end of each port's line; missing ones are <see cref="NullBackend"/>.</summary>
    public IReadOnlyList<Func<ISerialBackend>> Backends { get; init; } = [];

    /// <summary>Makes options from settings as a command line gives them.</summary>
    /// <param name="settings"><c>ports=2</c>, <c>port0=pty</c>, <c>port1=unix:/run/tty1.sock</c>. The number of ports grows with the highest that is named.</param>
    /// <returns>The options. Nothing is opened yet.</returns>
    /// <exception cref="FormatException">A setting is unknown or its value is not accepted; the message says what is.</exception>
    public static SerialOptions Parse(IEnumerable<string> settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        int? ports = null;
        var backends = new Func<ISerialBackend>?[8];
        foreach (string setting in settings)
        {
            int equals = setting.IndexOf('=', StringComparison.Ordinal);
            string key = equals < 0 ? setting : setting[..equals];
            string value = equals < 0 ? "" : setting[(equals + 1)..];
            if (key == "ports" && int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int count) && count is 1 or 2 or 4 or 8)
            {
                ports = count;
            }
            else if (key.Length == 5 && key.StartsWith("port", StringComparison.Ordinal) && key[4] is >= '0' and <= '7')
            {
                backends[key[4] - '0'] = Backend(value) ?? throw Refused(setting);
            }
            else
            {
                throw Refused(setting);
            }
        }

        int highest = Array.FindLastIndex(backends, b => b is not null);
        int needed = highest < 1 ? 1 : highest == 1 ? 2 : highest < 4 ? 4 : 8;
        if (ports is { } fixedCount && fixedCount <= highest)
        {
            throw new FormatException($"serial has {fixedCount} ports, so port{highest} does not exist; {Accepted} are accepted.");
        }

        return new SerialOptions
        {
            Ports = ports ?? needed,
            Backends = [.. backends.Select(b => b ?? (() => new NullBackend()))],
        };
    }

    private static FormatException Refused(string setting) => new($"serial setting '{setting}' is not accepted; {Accepted} are.");

    private static Func<ISerialBackend>? Backend(string value) => value switch
    {
        "pty" => () => new PtyBackend(),
        "stdio" => StreamBackend.OpenStandard,
        "loop" => () => new LoopBackend(),
        "null" => () => new NullBackend(),
        _ when value.Length > 5 && value.StartsWith("unix:", StringComparison.Ordinal) => () => new UnixSocketBackend(value[5..]),
        _ => null,
    };
}

namespace Vfio.Devices.Igb;

/// <summary>Backends as a command line names them.</summary>
internal static class PacketBackendText
{
    public const string Forms = "null, loopback, pair:NAME, tap:NAME, packet:INTERFACE or pcap:in=FILE:out=FILE";

    /// <summary>Makes the constructor of a backend.</summary>
    /// <exception cref="FormatException">The text is no backend.</exception>
    public static Func<IPacketBackend> Parse(string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        string rest = colon < 0 ? "" : text[(colon + 1)..];
        return (colon < 0 ? text : text[..colon], rest) switch
        {
            ("null", "") => static () => new NullPacketBackend(),
            ("loopback", "") => static () => new LoopbackPacketBackend(),
            ("pair", not "") => () => PacketLink.Named(rest).CreatePort(),
            ("tap", not "") => () => DescriptorPacketBackend.OpenTap(rest),
            ("packet", not "") => () => DescriptorPacketBackend.OpenInterface(rest),
            ("pcap", not "") => ParseCapture(rest),
            _ => throw new FormatException($"'{text}' is no packet backend; {Forms} are."),
        };
    }

    private static Func<IPacketBackend> ParseCapture(string text)
    {
        string? input = null;
        string? output = null;
        foreach (string part in text.Split(':'))
        {
            (input, output) = part.IndexOf('=', StringComparison.Ordinal) is > 0 and var equals && equals + 1 < part.Length
                ? part[..equals] switch
                {
                    "in" => (part[(equals + 1)..], output),
                    "out" => (input, part[(equals + 1)..]),
                    _ => throw Refuse(text),
                }
                : throw Refuse(text);
        }

        return () => new CapturePacketBackend(input, output);
    }

    private static FormatException Refuse(string text) => new($"'pcap:{text}' is no capture; pcap:in=FILE:out=FILE is, or one of the two.");
}

using System.CommandLine;
using Microsoft.Extensions.Logging;

namespace Vfio.Tool.Commands;

/// <summary>Arguments and options that several commands share.</summary>
internal static class CommonOptions
{
    public static Argument<string> Address() => new("address")
    {
        Description = "unix:PATH of a vfio-user server, kernel:0000:06:0d.0 of this machine's VFIO, or local:MODEL[,key=value…] for a fresh device in this process",
    };

    public static Option<bool> Json() => new("--json") { Description = "Print JSON" };

    public static Argument<string> Region() => new("region") { Description = "bar0 to bar5, rom, config, vga, or an index" };

    public static Option<LogLevel> LogLevel() => Choice("--log-level", "Least severity that is logged to standard error", Microsoft.Extensions.Logging.LogLevel.Warning);

    public static Option<int> Width()
    {
        const string Accepted = "1, 2, 4 or 8";
        return Number("--width", $"Bytes of the access: {Accepted}", 4, Accepted, static value => value is 1 or 2 or 4 or 8);
    }

    /// <summary>An option that takes one of the names of an enumeration, in lower case.</summary>
    public static Option<T> Choice<T>(string name, string description, T fallback)
        where T : struct, Enum
    {
        string accepted = string.Join(", ", Enum.GetNames<T>().Select(static known => known.ToLowerInvariant()));
        return new Option<T>(name)
        {
            Description = $"{description}: {accepted}",
            DefaultValueFactory = _ => fallback,
            CustomParser = result =>
            {
                string text = result.Tokens[0].Value;
                if (!char.IsAsciiLetter(text.FirstOrDefault()) || !Enum.TryParse(text, ignoreCase: true, out T value))
                {
                    result.AddError($"{name} is one of {accepted}, not '{text}'.");
                    return fallback;
                }

                return value;
            },
        };
    }

    /// <summary>An option that takes a decimal number.</summary>
    /// <param name="name">The option.</param>
    /// <param name="description">What it does.</param>
    /// <param name="fallback">Its value when it is not given; null when that means something else than any number.</param>
    /// <param name="accepted">What is accepted, for the message.</param>
    /// <param name="accepts">Whether a number is.</param>
    public static Option<int> Number(string name, string description, int? fallback, string accepted, Func<int, bool> accepts) => new(name)
    {
        Description = description,
        HelpName = "NUMBER",
        DefaultValueFactory = fallback is { } value ? _ => value : null,
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (!int.TryParse(text, out int value) || !accepts(value))
            {
                result.AddError($"{name} is {accepted}, not '{text}'.");
            }

            return value;
        },
    };

    /// <summary>An option that takes a number of bytes: 4096, 64K, 1M, 2G.</summary>
    /// <param name="name">The option.</param>
    /// <param name="description">What it does.</param>
    /// <param name="fallback">Its value when it is not given; null when that means something else than any number.</param>
    public static Option<ulong?> Size(string name, string description, ulong? fallback) => new(name)
    {
        Description = $"{description}; K, M, G and T behind a number are powers of 1024",
        HelpName = "BYTES",
        DefaultValueFactory = _ => fallback,
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (!TryParseSize(text, out ulong value))
            {
                result.AddError($"{name} is a number of bytes such as 4096, 64K or 1G, not '{text}'.");
            }

            return value;
        },
    };

    public static uint ParseRegion(string text)
    {
        foreach (PciRegion region in Enum.GetValues<PciRegion>())
        {
            if (string.Equals(region.ToString(), text, StringComparison.OrdinalIgnoreCase))
            {
                return (uint)region;
            }
        }

        return uint.TryParse(text, out uint index)
            ? index
            : throw new UsageException($"'{text}' is no region; bar0 to bar5, rom, config, vga, or an index are.");
    }

    public static ulong ParseNumber(string text, string what)
    {
        bool hex = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        bool parsed = hex
            ? ulong.TryParse(text.AsSpan(2), System.Globalization.NumberStyles.AllowHexSpecifier, null, out ulong value)
            : ulong.TryParse(text, System.Globalization.NumberStyles.None, null, out value);
        return parsed ? value : throw new UsageException($"'{text}' is no {what}; a decimal number, or a hexadecimal one with 0x, is.");
    }

    private static bool TryParseSize(string text, out ulong value)
    {
        int unit = text.Length == 0 ? -1 : "KMGT".IndexOf(char.ToUpperInvariant(text[^1]), StringComparison.Ordinal);
        int shift = (unit + 1) * 10;
        return ulong.TryParse(unit < 0 ? text : text[..^1], System.Globalization.NumberStyles.None, null, out value)
            && value <= ulong.MaxValue >> shift
            && (value <<= shift) >= 0;
    }
}

using System.CommandLine;
using Microsoft.Extensions.Logging;

namespace Vfio.Tool.Commands;

/// <summary>Arguments and options that several commands share.</summary>
internal static class CommonOptions
{
    public static Argument<string> Address() => new("address")
    {
        Description = "unix:PATH of a vfio-user server, or local:MODEL[,key=value…] for a fresh device in this process",
    };

    public static Option<bool> Json() => new("--json") { Description = "Print JSON" };

    public static Argument<string> Region() => new("region") { Description = "bar0 to bar5, rom, config, vga, or an index" };

    public static Option<LogLevel> LogLevel() => new("--log-level")
    {
        Description = "Least severity that is logged to standard error",
        DefaultValueFactory = static _ => Microsoft.Extensions.Logging.LogLevel.Warning,
    };

    public static Option<int> Width()
    {
        Option<int> width = new("--width") { Description = "Bytes of the access: 1, 2, 4 or 8", DefaultValueFactory = static _ => 4 };
        width.Validators.Add(static result =>
        {
            if (result.GetValueOrDefault<int>() is not (1 or 2 or 4 or 8))
            {
                result.AddError($"--width is 1, 2, 4 or 8, not {result.Tokens[0].Value}.");
            }
        });
        return width;
    }

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
}

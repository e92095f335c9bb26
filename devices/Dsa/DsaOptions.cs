using System.Globalization;
using System.Numerics;

namespace Vfio.Devices.Dsa;

/// <summary>Settings of a <see cref="DsaDevice"/>.</summary>
public sealed record DsaOptions
{
    /// <summary>The longest transfer of one descriptor in bytes: a power of two from 4096 to 2 GiB (GENCAP).</summary>
    public long LongestTransfer { get; init; } = 65_536;

    /// <summary>Makes options from settings as a command line gives them.</summary>
    /// <param name="settings"><c>transfer=65536</c>; a decimal number.</param>
    /// <returns>The options.</returns>
    /// <exception cref="FormatException">A setting is not <c>key=value</c>, is unknown, or its value is out of range; the message says what is accepted.</exception>
    public static DsaOptions Parse(IEnumerable<string> settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        var options = new DsaOptions();
        foreach (string setting in settings)
        {
            int equals = setting.IndexOf('=', StringComparison.Ordinal);
            string key = equals < 0 ? setting : setting[..equals];
            _ = long.TryParse(equals < 0 ? "" : setting[(equals + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out long value);
            options = key == "transfer" && IsTransfer(value)
                ? options with { LongestTransfer = value }
                : throw new FormatException($"dsa setting '{setting}' is not accepted; transfer=a power of two from 4096 to 2147483648 is.");
        }

        return options;
    }

    /// <summary>What the registers cannot express, in a sentence; null when there is nothing.</summary>
    internal string? Problem()
        => IsTransfer(LongestTransfer) ? null : $"The longest transfer is a power of two from 4096 to 2147483648, which {LongestTransfer} is not.";

    private static bool IsTransfer(long value) => value is >= 4096 and <= 1L << 31 && BitOperations.IsPow2(value);
}

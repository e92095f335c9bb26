using System.Globalization;

namespace Vfio.Devices.Edu;

/// <summary>Settings of an <see cref="EduDevice"/>.</summary>
public sealed record EduOptions
{
    /// <summary>The bus addresses that the DMA engine can drive: it ANDs every address with this mask. 28 bits, as the original's default.</summary>
    public ulong DmaMask { get; init; } = 0x0FFF_FFFF;

    /// <summary>How long a DMA transfer takes, by the host's clock. The original takes 100 ms; the default is as fast as possible.</summary>
    public TimeSpan DmaDelay { get; init; }

    /// <summary>How long a factorial takes, by the host's clock.</summary>
    public TimeSpan FactorialDelay { get; init; }

    /// <summary>Makes options from settings as a command line gives them.</summary>
    /// <param name="settings">
    /// <c>dma_mask=0x0FFFFFFF</c>, <c>dma_delay_ms=100</c>, <c>factorial_delay_ms=0</c>; numbers decimal or with 0x.
    /// </param>
    /// <returns>The options.</returns>
    /// <exception cref="FormatException">A setting is not <c>key=value</c>, is unknown, or its value is out of range; the message says what is accepted.</exception>
    public static EduOptions Parse(IEnumerable<string> settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        var options = new EduOptions();
        foreach (string setting in settings)
        {
            int equals = setting.IndexOf('=', StringComparison.Ordinal);
            string key = equals < 0 ? setting : setting[..equals];
            string value = equals < 0 ? "" : setting[(equals + 1)..];
            options = key switch
            {
                "dma_mask" => options with { DmaMask = Number(key, value, ulong.MaxValue) },
                "dma_delay_ms" => options with { DmaDelay = TimeSpan.FromMilliseconds(Number(key, value, 60_000)) },
                "factorial_delay_ms" => options with { FactorialDelay = TimeSpan.FromMilliseconds(Number(key, value, 60_000)) },
                _ => throw new FormatException($"edu has no setting '{key}'; dma_mask, dma_delay_ms and factorial_delay_ms are known."),
            };
        }

        return options;
    }

    private static ulong Number(string key, string value, ulong maximum)
    {
        bool isHex = value.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        bool isNumber = isHex
            ? ulong.TryParse(value.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong number)
            : ulong.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out number);
        return isNumber && number <= maximum
            ? number
            : throw new FormatException($"edu setting {key}={value}: a number from 0 to {maximum} is accepted, decimal or with 0x.");
    }
}

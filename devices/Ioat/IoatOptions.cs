using System.Globalization;
using System.Numerics;

namespace Vfio.Devices.Ioat;

/// <summary>Settings of an <see cref="IoatDevice"/>.</summary>
public sealed record IoatOptions
{
    /// <summary>Number of channels, 1 to 8. The hardware that the ids name has one for each function, and DPDK takes no other number.</summary>
    public int Channels { get; init; } = 1;

    /// <summary>The longest transfer of one descriptor in bytes: a power of two from 4096 to 1 MiB (XFERCAP).</summary>
    public int LongestTransfer { get; init; } = 4096;

    /// <summary>Makes options from settings as a command line gives them.</summary>
    /// <param name="settings"><c>channels=1</c>, <c>transfer=4096</c>; decimal numbers.</param>
    /// <returns>The options.</returns>
    /// <exception cref="FormatException">A setting is not <c>key=value</c>, is unknown, or its value is out of range; the message says what is accepted.</exception>
    public static IoatOptions Parse(IEnumerable<string> settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        var options = new IoatOptions();
        foreach (string setting in settings)
        {
            int equals = setting.IndexOf('=', StringComparison.Ordinal);
            string key = equals < 0 ? setting : setting[..equals];
            _ = int.TryParse(equals < 0 ? "" : setting[(equals + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out int value);
            options = key switch
            {
                "channels" when IsChannels(value) => options with { Channels = value },
                "transfer" when IsTransfer(value) => options with { LongestTransfer = value },
                _ => throw new FormatException($"ioat setting '{setting}' is not accepted; channels=1 to 8, and transfer=a power of two from 4096 to 1048576, are."),
            };
        }

        return options;
    }

    /// <summary>What the registers cannot express, in a sentence; null when there is nothing.</summary>
    internal string? Problem()
        => !IsChannels(Channels) ? $"A copy engine has 1 to 8 channels, not {Channels}."
        : !IsTransfer(LongestTransfer) ? $"The longest transfer is a power of two from 4096 to 1048576, which {LongestTransfer} is not."
        : null;

    private static bool IsChannels(int value) => value is >= 1 and <= 8;

    private static bool IsTransfer(int value) => value is >= 4096 and <= 1 << 20 && BitOperations.IsPow2(value);
}

using System.Buffers.Binary;
using System.Globalization;

namespace Vfio.Devices.Igb;

/// <summary>Settings of an <see cref="IgbDevice"/>.</summary>
public sealed record IgbOptions
{
    private static int s_devices;

    /// <summary>The MAC address, six bytes; null for one that no other device of this process has, beginning with 52:54:00.</summary>
    public ReadOnlyMemory<byte>? Address { get; init; }

    /// <summary>Makes what is on the other side of the cable; null for nothing, with the link up. The device starts and disposes it.</summary>
    public Func<IPacketBackend>? Backend { get; init; }

    /// <summary>Whether the cable is plugged in at first; <see cref="IgbDevice.SetLink"/> changes it.</summary>
    public bool IsLinkUp { get; init; } = true;

    /// <summary>Whether EITR delays interrupts. Delays are as exact as the system's timers, which is about a millisecond.</summary>
    public bool Throttle { get; init; }

    /// <summary>Bytes of received packets that wait for descriptors, 16 KiB to 64 MiB.</summary>
    public int BufferSize { get; init; } = 1 << 20;

    /// <summary>The address as a number whose lowest byte is sent first.</summary>
    internal ulong AddressValue { get; private init; }

    /// <summary>An EUI-64 that is made of the address.</summary>
    internal ulong SerialNumber
        => (BinaryPrimitives.ReverseEndianness(AddressValue) >> 16 & 0xFF_FFFF) | 0xFF_FF00_0000UL | (BinaryPrimitives.ReverseEndianness(AddressValue) >> 40 << 40);

    /// <summary>Makes options from settings as a command line gives them.</summary>
    /// <param name="settings"><c>backend=loopback</c>, <c>mac=52:54:00:12:34:56</c>, <c>link=on</c>, <c>throttle=off</c>, <c>buffer=1048576</c>; the README has them all.</param>
    /// <returns>The options.</returns>
    /// <exception cref="FormatException">A setting is not <c>key=value</c>, is unknown, or its value is out of range; the message says what is accepted.</exception>
    public static IgbOptions Parse(IEnumerable<string> settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        var options = new IgbOptions();
        foreach (string setting in settings)
        {
            int equals = setting.IndexOf('=', StringComparison.Ordinal);
            string key = equals < 0 ? setting : setting[..equals];
            string value = equals < 0 ? "" : setting[(equals + 1)..];
            options = key switch
            {
                "backend" => options with { Backend = PacketBackendText.Parse(value) },
                "mac" when TryParseAddress(value, out byte[] address) => options with { Address = address },
                "link" when value is "on" or "off" => options with { IsLinkUp = value == "on" },
                "throttle" when value is "on" or "off" => options with { Throttle = value == "on" },
                "buffer" when int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int size) && IsBuffer(size) => options with { BufferSize = size },
                _ => throw new FormatException($"igb setting '{setting}' is not accepted; backend={PacketBackendText.Forms}, mac=six bytes in hex with colons, link=on or off, throttle=on or off, and buffer=16384 to 67108864 bytes, are."),
            };
        }

        return options;
    }

    /// <summary>What a device cannot have, in a sentence; null when there is nothing.</summary>
    internal string? Problem()
        => Address is { } address && (address.Length != 6 || (address.Span[0] & 1) != 0) ? "An address has six bytes, and the first is even."
        : !IsBuffer(BufferSize) ? $"A buffer has 16384 to 67108864 bytes, not {BufferSize}."
        : null;

    /// <summary>The same with an address, if there was none.</summary>
    internal IgbOptions Complete()
    {
        Span<byte> bytes = stackalloc byte[8];
        bytes.Clear();
        if (Address is { } address)
        {
            address.Span.CopyTo(bytes);
        }
        else
        {
            // Different in each process, so that two of them can be on one network.
            uint number = ((uint)Environment.ProcessId << 8) + (uint)Interlocked.Increment(ref s_devices);
            (bytes[0], bytes[1], bytes[2]) = (0x52, 0x54, 0x00);
            (bytes[3], bytes[4], bytes[5]) = ((byte)(number >> 16), (byte)(number >> 8), (byte)number);
        }

        return this with { AddressValue = BinaryPrimitives.ReadUInt64LittleEndian(bytes) };
    }

    private static bool IsBuffer(int value) => value is >= 16 << 10 and <= 64 << 20;

    private static bool TryParseAddress(string text, out byte[] address)
    {
        address = new byte[6];
        string[] parts = text.Split(':');
        for (int i = 0; i < 6; i++)
        {
            if (parts.Length != 6 || parts[i].Length != 2 || !byte.TryParse(parts[i], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out address[i]))
            {
                return false;
            }
        }

        return (address[0] & 1) == 0;
    }
}

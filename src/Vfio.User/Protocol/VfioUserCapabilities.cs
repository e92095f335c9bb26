using System.Buffers.Text;
using System.Text.Json;
using Vfio.Abi;

namespace Vfio.User;

/// <summary>What one side of a connection announces in its VERSION message (spec vfio-user §2.2).</summary>
public readonly record struct VfioUserCapabilities
{
    /// <summary>Longest JSON that is read, in bytes.</summary>
    public const int MaximumJson = 4096;

    private const int MaximumDepth = 8;
    private const int MaximumFds = 1024;

    /// <summary>The values that hold for whatever a side does not mention.</summary>
    public static VfioUserCapabilities Default { get; } = new()
    {
        MaxMessageFds = VfioUserWire.DefaultMaxMessageFds,
        MaxDataTransferSize = VfioUserWire.DefaultMaxDataTransferSize,
        MaxDmaMaps = VfioUserWire.DefaultMaxDmaMaps,
        PageSizes = VfioUserWire.DefaultPageSizes,
    };

    /// <summary>Descriptors that the side can receive with one message.</summary>
    public int MaxMessageFds { get; init; }

    /// <summary>Largest count of a message that carries data, in bytes.</summary>
    public uint MaxDataTransferSize { get; init; }

    /// <summary>DMA windows that may exist at once.</summary>
    public uint MaxDmaMaps { get; init; }

    /// <summary>DMA page sizes, one bit each.</summary>
    public ulong PageSizes { get; init; }

    /// <summary>Whether commands to the client may use a second socket.</summary>
    public bool TwinSocket { get; init; }

    /// <summary>In a reply: which of the message's descriptors is the second socket; −1 when there is none.</summary>
    public int TwinFdIndex { get; init; }

    /// <summary>Whether REGION_WRITE_MULTI is understood.</summary>
    public bool WriteMultiple { get; init; }

    /// <summary>Page size of dirty bitmaps, in bytes; 0 when migration is not mentioned.</summary>
    public ulong MigrationPageSize { get; init; }

    /// <summary>Whether the JSON names keys that only QEMU's client sends.</summary>
    internal bool LooksLikeQemu { get; init; }

    /// <summary>Reads the JSON of a VERSION message.</summary>
    /// <param name="json">The text with its terminating NUL, or nothing.</param>
    /// <param name="capabilities">What it says; defaults where it is silent.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EINVAL"/> for anything that is not as §2.2 wants it.</returns>
    public static Errno TryParse(ReadOnlySpan<byte> json, out VfioUserCapabilities capabilities)
    {
        capabilities = Default with { TwinFdIndex = -1 };
        if (json.IsEmpty)
        {
            return Errno.None;
        }

        if (json.Length > MaximumJson || json.IndexOf((byte)0) != json.Length - 1)
        {
            return Errno.EINVAL;
        }

        Utf8JsonReader reader = new(json[..^1], new JsonReaderOptions { MaxDepth = MaximumDepth });
        try
        {
            return Parse(ref reader, ref capabilities) ? Errno.None : Errno.EINVAL;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // The ways in which the reader reports malformed text, the second for a name with half of a surrogate pair; a connection can
            // cause one once, and ends by it.
            return Errno.EINVAL;
        }
    }

    /// <summary>Writes the JSON of a reply or request, with its terminating NUL.</summary>
    /// <param name="buffer">Receives it.</param>
    /// <param name="limit">Length that must not be passed; optional keys are left out to fit.</param>
    /// <returns>The length, at least that of the two mandatory keys.</returns>
    public int Write(Span<byte> buffer, int limit)
    {
        int at = Append(buffer, 0, "{\"capabilities\":{\"max_msg_fds\":"u8);
        at = Append(buffer, at, MaxMessageFds);
        at = Append(buffer, at, ",\"max_data_xfer_size\":"u8);
        at = Append(buffer, at, MaxDataTransferSize);

        Span<byte> part = stackalloc byte[64];
        if (TwinSocket)
        {
            int length = Append(part, 0, ",\"twin_socket\":{\"supported\":true"u8);
            if (TwinFdIndex >= 0)
            {
                length = Append(part, length, ",\"fd_index\":"u8);
                length = Append(part, length, (ulong)TwinFdIndex);
            }

            at = AppendIfFits(buffer, at, limit, part[..Append(part, length, "}"u8)]);
        }

        if (MigrationPageSize != 0)
        {
            int length = Append(part, 0, ",\"migration\":{\"pgsize\":"u8);
            length = Append(part, length, MigrationPageSize);
            at = AppendIfFits(buffer, at, limit, part[..Append(part, length, "}"u8)]);
        }

        if (WriteMultiple)
        {
            at = AppendIfFits(buffer, at, limit, ",\"write_multiple\":true"u8);
        }

        return Append(buffer, at, "}}\0"u8);
    }

    private static int AppendIfFits(Span<byte> buffer, int at, int limit, ReadOnlySpan<byte> text)
    {
        const int Closing = 3;
        return at + text.Length + Closing <= limit ? Append(buffer, at, text) : at;
    }

    private static int Append(Span<byte> buffer, int at, ReadOnlySpan<byte> text)
    {
        text.CopyTo(buffer[at..]);
        return at + text.Length;
    }

    private static int Append(Span<byte> buffer, int at, ulong value)
    {
        _ = Utf8Formatter.TryFormat(value, buffer[at..], out int written);
        return at + written;
    }

    private static int Append(Span<byte> buffer, int at, int value) => Append(buffer, at, (ulong)value);

    private static bool Parse(ref Utf8JsonReader reader, ref VfioUserCapabilities result)
    {
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
        {
            return false;
        }

        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool capabilities = reader.ValueTextEquals("capabilities"u8);
            reader.Read();
            if (!capabilities)
            {
                reader.Skip();
            }
            else if (reader.TokenType != JsonTokenType.StartObject || !ParseCapabilities(ref reader, ref result))
            {
                return false;
            }
        }

        // Whatever follows the object makes the reader report malformed text.
        return reader.TokenType == JsonTokenType.EndObject && !reader.Read();
    }

    private static bool ParseCapabilities(ref Utf8JsonReader reader, ref VfioUserCapabilities result)
    {
        bool dmaMaps = false;
        bool pageSizes = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool valid = true;
            if (reader.ValueTextEquals("max_msg_fds"u8))
            {
                valid = Number(ref reader, MaximumFds, out ulong value);
                result = result with { MaxMessageFds = (int)value };
            }
            else if (reader.ValueTextEquals("max_data_xfer_size"u8))
            {
                // 0 would make every transfer endless.
                valid = Number(ref reader, uint.MaxValue, out ulong value) && value != 0;
                result = result with { MaxDataTransferSize = (uint)value };
            }
            else if (reader.ValueTextEquals("max_dma_maps"u8))
            {
                valid = Number(ref reader, uint.MaxValue, out ulong value);
                result = result with { MaxDmaMaps = (uint)value };
                dmaMaps = true;
            }
            else if (reader.ValueTextEquals("pgsizes"u8))
            {
                valid = Number(ref reader, ulong.MaxValue, out ulong value);
                result = result with { PageSizes = value };
                pageSizes = true;
            }
            else if (reader.ValueTextEquals("write_multiple"u8))
            {
                valid = Boolean(ref reader, out bool value);
                result = result with { WriteMultiple = value };
            }
            else if (reader.ValueTextEquals("twin_socket"u8))
            {
                valid = reader.Read() && reader.TokenType == JsonTokenType.StartObject && ParseTwin(ref reader, ref result);
            }
            else if (reader.ValueTextEquals("migration"u8))
            {
                valid = reader.Read() && reader.TokenType == JsonTokenType.StartObject && ParseMigration(ref reader, ref result);
            }
            else
            {
                reader.Read();
                reader.Skip();
            }

            if (!valid)
            {
                return false;
            }
        }

        result = result with { LooksLikeQemu = dmaMaps && pageSizes };
        return reader.TokenType == JsonTokenType.EndObject;
    }

    private static bool ParseTwin(ref Utf8JsonReader reader, ref VfioUserCapabilities result)
    {
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("supported"u8))
            {
                if (!Boolean(ref reader, out bool value))
                {
                    return false;
                }

                result = result with { TwinSocket = value };
            }
            else if (reader.ValueTextEquals("fd_index"u8))
            {
                if (!Number(ref reader, MaximumFds, out ulong value))
                {
                    return false;
                }

                result = result with { TwinFdIndex = (int)value };
            }
            else
            {
                reader.Read();
                reader.Skip();
            }
        }

        return reader.TokenType == JsonTokenType.EndObject;
    }

    private static bool ParseMigration(ref Utf8JsonReader reader, ref VfioUserCapabilities result)
    {
        const ulong PageMask = 4095;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("pgsize"u8))
            {
                if (!Number(ref reader, ulong.MaxValue, out ulong value) || value == 0 || (value & PageMask) != 0)
                {
                    return false;
                }

                result = result with { MigrationPageSize = value };
            }
            else
            {
                reader.Read();
                reader.Skip();
            }
        }

        return reader.TokenType == JsonTokenType.EndObject;
    }

    private static bool Number(ref Utf8JsonReader reader, ulong maximum, out ulong value)
    {
        value = 0;
        return reader.Read() && reader.TokenType == JsonTokenType.Number && reader.TryGetUInt64(out value) && value <= maximum;
    }

    private static bool Boolean(ref Utf8JsonReader reader, out bool value)
    {
        value = reader.Read() && reader.TokenType == JsonTokenType.True;
        return value || reader.TokenType == JsonTokenType.False;
    }
}

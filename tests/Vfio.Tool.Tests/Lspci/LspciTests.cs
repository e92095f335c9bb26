using System.Text.RegularExpressions;
using Vfio.Devices.Edu;
using Vfio.Devices.Serial;
using Vfio.Pci;
using Vfio.Tool.Lspci;

namespace Vfio.Tool.Tests.Lspci;

/// <summary>Our decoding against that of the real lspci, which reads our dump.</summary>
public sealed partial class LspciTests
{
    private static readonly PciNames s_names = PciNames.Load();

    public static TheoryData<string> Devices => ["edu", "serial1", "serial2", "serial4", "serial8", "rich"];

    /// <summary>What a VFIO user sees of a device straight after its start, and after software has set it up.</summary>
    [Theory]
    [MemberData(nameof(Devices))]
    public async Task Decode_of_a_device_is_lspcis(string name)
    {
        await using VfioHost host = new();
        VfioDevice device = host.Allocate(() => Make(name));
        try
        {
            _ = host.RegisterEmulatedIommuDevice(device, "d0");
            using VfioConnection connection = LocalConnection.Open(host, "d0");
            await CompareAsync(ConfigImage.Read(connection));
            SetUp(connection);
            await CompareAsync(ConfigImage.Read(connection));
        }
        finally
        {
            await host.DisposeAsync();
            device.Put();
        }
    }

    /// <summary>Any content of the registers that we decode, not only what our devices hold.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    public async Task Decode_of_random_registers_is_lspcis(int seed)
    {
        Random random = new(seed);
        byte[] rich = await ReadAsync("rich");
        for (int round = 0; round < 40; round++)
        {
            byte[] bytes = [.. rich];
            foreach ((int offset, int length) in Registers(rich))
            {
                if (random.Next(3) == 0)
                {
                    random.NextBytes(bytes.AsSpan(offset, length));
                }
            }

            // The kind of function and the version of its Express capability: what endpoints may say.
            int express = FindCapability(rich, 0x10);
            int[] kinds = [0, 1, 9];
            bytes[express + 2] = (byte)(random.Next(1, 3) | (kinds[random.Next(3)] << 4));
            bytes[express + 3] &= 0xFE;
            await CompareAsync(new ConfigImage(bytes));
        }
    }

    [Theory]
    [InlineData(0x15, 0x0033)]
    [InlineData(0x33, 0x00FE)]
    public async Task Decode_of_unknown_capabilities_is_lspcis(byte id, ushort extendedId)
    {
        byte[] bytes = await ReadAsync("rich");
        bytes[FindCapability(bytes, 0x09)] = id;
        int last = 0x100;
        for (int next = last; next != 0; next = BitConverter.ToUInt16(bytes, last + 2) >> 4)
        {
            last = next;
        }

        BitConverter.TryWriteBytes(bytes.AsSpan(last), extendedId);
        await CompareAsync(new ConfigImage(bytes));
    }

    [Theory]
    [InlineData(-1, "chain looped")]
    [InlineData(0xF0, "chain broken")]
    [InlineData(0x20, "Null")]
    public async Task Decode_of_a_damaged_list_is_lspcis(int next, string says)
    {
        byte[] bytes = await ReadAsync("rich");
        int vendor = FindCapability(bytes, 0x09);
        bytes[vendor + 1] = (byte)(next < 0 ? vendor : next);
        bytes.AsSpan(0xF0).Slice(0, 16).Fill(0xFF);
        bytes.AsSpan(0x20, 4).Clear();
        ConfigImage config = new(bytes);
        Assert.Contains(says, LspciText.Decode(config, s_names, numeric: true), StringComparison.Ordinal);
        await CompareAsync(config);
    }

    [Fact]
    public async Task Decode_of_a_looping_extended_list_is_lspcis()
    {
        byte[] bytes = await ReadAsync("rich");
        BitConverter.TryWriteBytes(bytes.AsSpan(0x102), (ushort)0x1002);
        ConfigImage config = new(bytes);
        Assert.Contains("[100 v2] <chain looped>", LspciText.Decode(config, s_names, numeric: true), StringComparison.Ordinal);
        await CompareAsync(config);
    }

    [Fact]
    public async Task Command_prints_the_decoding_and_dumps_that_lspci_reads()
    {
        string verbose = (await ToolProcess.RunAsync("lspci", "local:edu", "-n")).ShouldSucceed().Output;
        string dump = (await ToolProcess.RunAsync("lspci", "local:edu", "-n", "-xxxx")).ShouldSucceed().Output;
        Assert.Equal(Normalize(verbose), Normalize(await PciUtils.DecodeAsync(dump, "-vv", "-n")));
        Assert.Contains("Region 0: Memory at <unassigned> (32-bit, non-prefetchable) [disabled] [size=1M]\n", verbose, StringComparison.Ordinal);
        Assert.Equal("00:00.0 00ff: 1234:11e8 (rev 10)", dump.Split('\n')[0]);

        // lspci's own dump of our dump is our dump, for every length.
        foreach ((string option, int lines) in ((string, int)[])[("-x", 4), ("-xxx", 16), ("-xxxx", 16)])
        {
            ToolResult ours = (await ToolProcess.RunAsync("lspci", "local:edu", option)).ShouldSucceed();
            Assert.Equal(lines + 1, ours.Output.TrimEnd('\n').Split('\n').Length);
            Assert.Equal(await PciUtils.DecodeAsync(dump, option), ours.Output);
        }
    }

    [Fact]
    public async Task Sizes_of_regions_are_shown_as_lspci_does()
    {
        await using VfioHost host = new();
        VfioDevice device = host.Allocate(() => new RichDevice());
        _ = host.RegisterEmulatedIommuDevice(device, "d0");
        using (VfioConnection connection = LocalConnection.Open(host, "d0"))
        {
            SetUp(connection);
            string text = LspciText.Decode(ConfigImage.Read(connection), s_names, numeric: true);
            Assert.Equal(
                [
                    "Region 0: Memory at 1fff00000 (64-bit, prefetchable) [size=1M]",
                    "Region 2: Memory at fffff000 (32-bit, non-prefetchable) [size=4K]",
                    "Region 3: I/O ports at ffffffe0 [size=32]",
                    "Region 4: Memory at 1e00000000 (64-bit, non-prefetchable) [size=8G]",
                    "Expansion ROM at ffffe000 [size=8K]",
                ],
                text.Split('\n').Select(static line => line.Trim()).Where(static line => line.Contains("size=", StringComparison.Ordinal)));
        }

        await host.DisposeAsync();
        device.Put();
    }

    [Theory]
    [InlineData(0x1B36, 0x0002, 0x1AF4, 0x1100, 0x070002)]
    [InlineData(0x1B36, 0x0002, 0x1B36, 0x0002, 0x079900)]
    [InlineData(0x1B36, 0x9999, 0x1B36, 0x0001, 0x010802)]
    [InlineData(0x1234, 0x5678, 0x1234, 0x5678, 0x500000)]
    [InlineData(0x8086, 0x153A, 0x17AA, 0x0001, 0x020044)]
    public async Task Names_are_lspcis(int vendor, int device, int boardVendor, int board, int classCode)
    {
        byte[] bytes = new byte[256];
        BitConverter.TryWriteBytes(bytes.AsSpan(0x00), vendor | (device << 16));
        BitConverter.TryWriteBytes(bytes.AsSpan(0x08), classCode << 8 | 1);
        BitConverter.TryWriteBytes(bytes.AsSpan(0x2C), boardVendor | (board << 16));
        ConfigImage config = new(bytes);
        Assert.Equal(await PciUtils.DecodeAsync(Dump(config), "-vv"), LspciText.Decode(config, s_names, numeric: false) + "\n");
    }

    private static VfioPciDevice Make(string name) => name switch
    {
        "edu" => new EduDevice(),
        "rich" => new RichDevice(),
        _ => new SerialDevice(new SerialOptions { Ports = name[^1] - '0' }),
    };

    private static async Task<byte[]> ReadAsync(string name)
    {
        await using VfioHost host = new();
        VfioDevice device = host.Allocate(() => Make(name));
        _ = host.RegisterEmulatedIommuDevice(device, "d0");
        byte[] bytes;
        using (VfioConnection connection = LocalConnection.Open(host, "d0"))
        {
            bytes = ConfigImage.Read(connection).Bytes.ToArray();
        }

        await host.DisposeAsync();
        device.Put();
        return bytes;
    }

    /// <summary>What firmware and a driver do: addresses in the BARs, decoding and mastering on, line and MSI-X set.</summary>
    private static void SetUp(VfioConnection connection)
    {
        for (ulong bar = 0x10; bar < 0x28; bar += 4)
        {
            // In the upper half of a 64-bit BAR: a small number, so that addresses look like addresses.
            bool isUpper = bar > 0x10 && (connection.Config.Read32(bar - 4) & 7) == 4;
            connection.Config.Write32(bar, isUpper ? (connection.Config.Size > 0 && bar == 0x14 ? 1u : 0x1Eu) : 0xFFFF_FFFF);
        }

        connection.Config.Write32(0x30, 0xFFFF_FFFF);
        connection.Config.Write8(0x3C, 11);
        connection.Config.Write8(0x0C, 16);
        connection.Config.Write16(0x04, 0x0547);
        if (connection.Irqs[(int)PciInterrupt.Msi].Count > 0)
        {
            using InterruptSet interrupts = connection.EnableInterrupts(PciInterrupt.Msi);
        }
    }

    private static string Dump(ConfigImage config) => LspciText.Summarize(config, s_names, numeric: true) + HexDump.Format(config.Bytes);

    private static async Task CompareAsync(ConfigImage config)
    {
        string theirs = await PciUtils.DecodeAsync(Dump(config), "-vv", "-n");
        string ours = LspciText.Decode(config, s_names, numeric: true) + "\n";
        Assert.Equal(Normalize(WithoutUpperHalves(theirs)).Split('\n'), Normalize(ours).Split('\n'));
    }

    /// <summary>Reading a dump, lspci takes the upper half of a 64-bit BAR for one more BAR, of which it shows the low bits.</summary>
    private static string WithoutUpperHalves(string text)
    {
        List<string> lines = [];
        int upper = -1;
        foreach (string line in text.Split('\n'))
        {
            Match region = Region().Match(line);
            int number = region.Success ? line["\tRegion ".Length] - '0' : -1;
            if (number < 0 || number != upper)
            {
                lines.Add(line);
                upper = region.Groups[1].Success ? number + 1 : upper;
            }
        }

        return string.Join('\n', lines);
    }

    /// <summary>
    /// The two things that a dump cannot tell lspci: the sizes of regions, and that a region exists whose register is zero (32-bit
    /// memory without an address).
    /// </summary>
    private static string Normalize(string text)
        => UnassignedRegion().Replace(RegionSize().Replace(text, string.Empty), string.Empty);

    /// <summary>What may be changed at random without breaking the lists: header fields, and capabilities behind their first bytes.</summary>
    private static IEnumerable<(int Offset, int Length)> Registers(byte[] bytes)
    {
        for (int at = 0x04; at < 0x34; at += 2)
        {
            // Not the pointer's flag in the status register, and not the header type.
            if (at is not (0x06 or 0x0E))
            {
                yield return (at, 2);
            }
        }

        yield return (0x0F, 1);
        // Not the pin: lspci prints whatever byte stands 'A' plus pin.
        yield return (0x3C, 1);
        yield return (0x3E, 2);
        foreach ((byte id, int length) in ((byte, int)[])[(0x01, 8), (0x05, 24), (0x11, 12)])
        {
            int capability = FindCapability(bytes, id);
            for (int at = 2; at < length; at += 2)
            {
                yield return (capability + at, 2);
            }
        }

        int express = FindCapability(bytes, 0x10);
        for (int at = 4; at < 0x3C; at += 2)
        {
            yield return (express + at, 2);
        }

        for (int at = 0x104; at < 0x12C; at += 2)
        {
            yield return (at, 2);
        }
    }

    private static int FindCapability(byte[] bytes, byte id)
    {
        for (int at = bytes[0x34]; at != 0; at = bytes[at + 1])
        {
            if (bytes[at] == id)
            {
                return at;
            }
        }

        throw new InvalidOperationException($"The device has no capability {id:x2}.");
    }

    [GeneratedRegex(@"^\tRegion [0-5]: (Memory at .*64-bit)?")]
    private static partial Regex Region();

    [GeneratedRegex(@" \[size=[0-9]+[KMGT]?\]")]
    private static partial Regex RegionSize();

    [GeneratedRegex(@"\t(Region [0-5]: Memory at <unassigned> \(32-bit, non-prefetchable\)|Expansion ROM at <unassigned>)( \[disabled\])?\n")]
    private static partial Regex UnassignedRegion();
}

using Vfio.Devices.Bench;
using Vfio.Devices.Dsa;
using Vfio.Devices.Edu;
using Vfio.Devices.Igb;
using Vfio.Devices.Ioat;
using Vfio.Devices.Nvme;
using Vfio.Devices.Serial;

namespace Vfio.Tool.Devices;

/// <summary>The device models that this tool can make.</summary>
internal static class DeviceCatalog
{
    public static IReadOnlyList<DeviceModel> Models { get; } =
    [
        new DeviceModel(
            "edu",
            "QEMU's teaching device: factorial, DMA engine, INTx and MSI (1234:11e8)",
            [
                new DeviceSetting("dma_mask", "highest address that DMA reaches", "0xfffffff (28 bits)"),
                new DeviceSetting("dma_delay_ms", "milliseconds that a transfer takes", "0"),
                new DeviceSetting("factorial_delay_ms", "milliseconds that a factorial takes", "0"),
            ],
            static settings =>
            {
                EduOptions options = EduOptions.Parse(settings);
                return () => new EduDevice(options);
            }),
        new DeviceModel(
            "serial",
            "a 16550A card with 1, 2, 4 or 8 ports that Linux' 8250_pci binds by itself (1b36:0002)",
            [
                new DeviceSetting("ports", "1, 2, 4 or 8", "what the highest named port needs"),
                new DeviceSetting("port0 … port7", "pty, stdio, unix:PATH, loop or null", "null"),
            ],
            static settings =>
            {
                SerialOptions options = SerialOptions.Parse(settings);
                return () => new SerialDevice(options);
            })
        {
            // Other lines are where the person put them.
            Announce = static device => ((SerialDevice)device).Lines
                .Select(static (line, port) => (Line: line as PtyBackend, Port: port))
                .Where(static port => port.Line is not null)
                .Select(static port => $"port{port.Port} is {port.Line!.Path}"),
        },
        new DeviceModel(
            "nvme",
            "an NVMe 2.0 controller that Linux' nvme binds by itself (1234:4e56)",
            [
                new DeviceSetting("size", "bytes of a namespace, also as 512M or 4G", "64M"),
                new DeviceSetting("block", "512 or 4096 bytes", "512"),
                new DeviceSetting("metadata", "0 or 8 bytes for each block", "0"),
                new DeviceSetting("protection", "0 to 3: type of protection information, in the metadata", "0"),
                new DeviceSetting("extended", "on or off: whether metadata is behind each block's data", "off"),
                new DeviceSetting("backend", "memory:SIZE, null:SIZE, file:PATH?OPTIONS, nbd://HOST/EXPORT or nbd+unix:///EXPORT?socket=PATH; backend2 and so on for more namespaces", "memory"),
                new DeviceSetting("file", "a raw image, made with the size when it is missing", "memory"),
                new DeviceSetting("metafile", "where a file's metadata is kept", "none"),
                new DeviceSetting("zone_size", "bytes of a zone, a power of two from 64K: zoned namespaces", "none"),
                new DeviceSetting("zone_capacity", "bytes of a zone that can be written", "all"),
                new DeviceSetting("max_open", "zones that may be open at a time, 0 for no limit", "0"),
                new DeviceSetting("max_active", "zones that may be open or closed at a time, 0 for no limit", "0"),
                new DeviceSetting("zonefile", "where it is kept how far the zones of a file or volume are written", "none"),
                new DeviceSetting("readonly", "on or off: whether the file is not written", "off"),
                new DeviceSetting("namespaces", "1 to 256, all alike and in memory", "1"),
                new DeviceSetting("capacity", "bytes of memory that the host may make namespaces of", "0"),
                new DeviceSetting("serial", "1 to 20 characters", "VFIO0001"),
                new DeviceSetting("model", "1 to 40 characters", "Vfio.NET NVMe Controller"),
                new DeviceSetting("queues", "pairs of I/O queues, 1 to 256", "16"),
                new DeviceSetting("entries", "of the longest queue, 2 to 65536", "1024"),
                new DeviceSetting("poll", "on or off: whether a thread looks at shared doorbells", "off"),
            ],
            static settings =>
            {
                NvmeOptions options = NvmeOptions.Parse(settings);
                return () => new NvmeDevice(options);
            }),
        new DeviceModel(
            "ioat",
            "a DMA copy engine that Linux' ioatdma and DPDK's dmadev_ioat bind (8086:2021)",
            [
                new DeviceSetting("channels", "1 to 8", "1"),
                new DeviceSetting("transfer", "bytes that one descriptor moves at most, a power of two from 4096 to 1048576", "4096"),
            ],
            static settings =>
            {
                IoatOptions options = IoatOptions.Parse(settings);
                return () => new IoatDevice(options);
            }),
        new DeviceModel(
            "dsa",
            "a data streaming accelerator that Linux' idxd and DPDK's dmadev_idxd bind (8086:0b25)",
            [
                new DeviceSetting("transfer", "bytes that one descriptor moves at most, a power of two from 4096 to 2147483648", "65536"),
            ],
            static settings =>
            {
                DsaOptions options = DsaOptions.Parse(settings);
                return () => new DsaDevice(options);
            }),
        new DeviceModel(
            "igb",
            "a gigabit Ethernet controller that Linux' igb and DPDK's net_e1000_igb bind (8086:10c9)",
            [
                new DeviceSetting("backend", "null, loopback, pair:NAME, tap:NAME, packet:INTERFACE or pcap:in=FILE:out=FILE", "null"),
                new DeviceSetting("mac", "the address, six bytes in hex with colons", "one beginning with 52:54:00"),
                new DeviceSetting("link", "on or off: whether the cable is plugged in", "on"),
                new DeviceSetting("throttle", "on or off: whether EITR delays interrupts", "off"),
                new DeviceSetting("buffer", "bytes of received packets that wait, 16384 to 67108864", "1048576"),
            ],
            static settings =>
            {
                IgbOptions options = IgbOptions.Parse(settings);
                return () => new IgbDevice(options);
            }),
        new DeviceModel(
            "bench",
            "a device to be measured: scratch registers, look-ups and DMA in a loop (1234:be4c)",
            [],
            static settings => settings.Count == 0
                ? static () => new BenchDevice()
                : throw new FormatException($"bench has no settings, and so no '{settings[0]}'.")),
    ];

    /// <summary>Tells on standard error what a person must know of a device that was made, such as which pseudo-terminal a port has.</summary>
    public static async Task AnnounceAsync(string name, VfioDevice device)
    {
        foreach (string line in Models.FirstOrDefault(model => model.Name == name)?.Announce(device) ?? [])
        {
            await Console.Error.WriteLineAsync($"{device.Name}: {line}");
        }
    }

    /// <summary>Makes the constructor of a model.</summary>
    /// <exception cref="UsageException">There is no such model, or a setting is wrong.</exception>
    public static Func<VfioDevice> Prepare(string name, IReadOnlyList<string> settings)
    {
        DeviceModel model = Models.FirstOrDefault(model => model.Name == name)
            ?? throw new UsageException($"There is no device model '{name}'; the models are {string.Join(", ", Models.Select(static model => model.Name))}.");
        string? malformed = settings.FirstOrDefault(static setting => setting.IndexOf('=', StringComparison.Ordinal) <= 0);
        if (malformed is not null)
        {
            throw new UsageException($"A setting is KEY=VALUE, which '{malformed}' is not; {name} takes {string.Join(", ", model.Settings.Select(static setting => setting.Name))}.");
        }

        try
        {
            return model.Prepare(settings);
        }
        catch (FormatException exception)
        {
            throw new UsageException(exception.Message);
        }
    }
}

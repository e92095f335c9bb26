using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests;

public sealed class OptionTests
{
    [Theory]
    [InlineData("size=0")]
    [InlineData("size=12Q")]
    [InlineData("size=99999999999T")]
    [InlineData("block=513")]
    [InlineData("file=")]
    [InlineData("readonly=on")]
    [InlineData("readonly=maybe")]
    [InlineData("namespaces=0")]
    [InlineData("namespaces=257")]
    [InlineData("queues=0")]
    [InlineData("queues=257")]
    [InlineData("entries=1")]
    [InlineData("serial=")]
    [InlineData("serial=123456789012345678901")]
    [InlineData("model=tab\there")]
    [InlineData("poll=1")]
    [InlineData("metadata=16")]
    [InlineData("protection=1")]
    [InlineData("extended=yes")]
    [InlineData("metafile=/tmp/m")]
    [InlineData("capacity=lots")]
    [InlineData("zone_size=96K")]
    [InlineData("zone_size=32K")]
    [InlineData("zone_capacity=128M")]
    [InlineData("zone_capacity=1000")]
    [InlineData("max_open=few")]
    [InlineData("zonefile=")]
    [InlineData("colour=red")]
    [InlineData("size")]
    public void Setting_with_a_mistake_says_what_is_accepted(string setting)
    {
        FormatException error = Assert.Throws<FormatException>(() => NvmeOptions.Parse([setting]));
        Assert.Contains("nvme", error.Message);
    }

    [Fact]
    public void Settings_are_read()
    {
        NvmeOptions options = NvmeOptions.Parse(["size=3M", "block=4096", "namespaces=2", "serial=S", "model=M", "queues=3", "entries=64", "poll=on"]);

        Assert.Equal(("S", "M", 3, 64, true), (options.Serial, options.Model, options.Queues, options.QueueEntries, options.Polled));
        Assert.Equal(2, options.Namespaces.Count);
        Assert.All(options.Namespaces, ns => Assert.Equal((3UL << 20, 4096), (ns.Size, ns.BlockSize)));
    }

    [Theory]
    [InlineData("poll=off", false, false)]
    [InlineData("poll=on", true, false)]
    [InlineData("poll=adaptive", true, true)]
    public void Ways_to_see_doorbells_are_read(string setting, bool polled, bool rests)
    {
        NvmeOptions options = NvmeOptions.Parse([setting]);
        Assert.Equal((polled, rests), (options.Polled, options.RestsWhenIdle));
    }

    [Fact]
    public void Settings_of_metadata_and_capacity_are_read()
    {
        NvmeOptions options = NvmeOptions.Parse(["metadata=8", "protection=2", "extended=on", "capacity=1G"]);

        Assert.Equal(1UL << 30, options.ManagedCapacity);
        NvmeNamespaceOptions ns = Assert.Single(options.Namespaces);
        Assert.Equal((8, 2, true), (ns.MetadataSize, ns.Protection, ns.IsMetadataExtended));
    }

    [Fact]
    public void Settings_of_zones_are_read()
    {
        NvmeOptions options = NvmeOptions.Parse(["size=1G", "zone_size=128M", "zone_capacity=96M", "max_open=4", "max_active=8", "namespaces=2"]);

        Assert.All(options.Namespaces, static ns => Assert.Equal(new NvmeZoneOptions { Size = 128 << 20, Capacity = 96 << 20, MaxOpen = 4, MaxActive = 8 }, ns.Zones));
        Assert.Throws<FormatException>(() => NvmeOptions.Parse(["zone_size=1M", "max_open=5", "max_active=4"]));
        Assert.Throws<FormatException>(() => NvmeOptions.Parse(["zone_size=1M", "metadata=8"]));
        Assert.Throws<FormatException>(() => NvmeOptions.Parse(["zone_size=1M", "zonefile=/tmp/zones", "namespaces=2"]));
    }

    [Fact]
    public void Device_refuses_options_that_are_out_of_range()
        => Assert.Throws<ArgumentException>(() => new NvmeDevice(new NvmeOptions { Queues = 1000 }));

    [Fact]
    public async Task Most_queues_and_namespaces_work()
    {
        await using var rig = new NvmeRig(new NvmeOptions { Queues = 256, QueueEntries = 65536, Namespaces = [.. Enumerable.Repeat(new NvmeNamespaceOptions { Size = 4096 }, 256)] });
        RawQueue queue = rig.CreateQueue(256, entries: 4096, vector: 256);

        Assert.Equal(0, queue.Execute(rig.Transfer(0x01, 0, 8, nsid: 256)).Status);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06, nsid: 254) { Prp1 = rig.Data.Iova }.Set(10, 2)).Status);
        Assert.Equal(255U | (256UL << 32), BitConverter.ToUInt64(rig.Data.Slice(0, 8)));
    }
}

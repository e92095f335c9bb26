using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests.Zones;

/// <summary>A controller with zones and a host with one I/O queue, and the commands of zones.</summary>
internal sealed class ZonedRig : IAsyncDisposable
{
    public const int Empty = 1;
    public const int ImplicitlyOpened = 2;
    public const int ExplicitlyOpened = 3;
    public const int Closed = 4;
    public const int ReadOnly = 0xD;
    public const int Full = 0xE;
    public const int Offline = 0xF;

    public const uint Close = 1;
    public const uint Finish = 2;
    public const uint Open = 3;
    public const uint Reset = 4;
    public const uint TakeOffline = 5;
    public const uint All = 1 << 8;

    /// <summary>Blocks of a zone, and those that can be written.</summary>
    public const ulong ZoneBlocks = 256;

    public const ulong Capacity = 192;

    public ZonedRig(NvmeOptions? options = null, bool overSocket = false)
    {
        Rig = new NvmeRig(options ?? Options(), overSocket);
        Queue = Rig.CreateQueue(1);
    }

    public NvmeRig Rig { get; }

    public RawQueue Queue { get; }

    /// <summary>Eight zones of 128 KiB, of which 96 KiB can be written.</summary>
    public static NvmeOptions Options(int maxOpen = 0, int maxActive = 0, int zones = 8) => new()
    {
        Queues = 4,
        Namespaces = [new() { Size = (ulong)zones << 17, Zones = new NvmeZoneOptions { Size = 1 << 17, Capacity = 96 * 1024, MaxOpen = maxOpen, MaxActive = maxActive } }],
    };

    /// <summary>Block <paramref name="block"/> of zone <paramref name="zone"/>.</summary>
    public static ulong At(int zone, ulong block = 0) => ((ulong)zone * ZoneBlocks) + block;

    public int Write(ulong block, int blocks, byte value = 0x5A)
    {
        Rig.Data.Slice(0, blocks * 512).Fill(value);
        return Queue.Execute(Rig.Transfer(0x01, block, blocks)).Status;
    }

    /// <summary>Appends to a zone.</summary>
    public (int Status, ulong Block) Append(int zone, int blocks, byte value = 0x5A)
    {
        Rig.Data.Slice(0, blocks * 512).Fill(value);
        RawCompletion completion = Queue.Execute(Rig.Transfer(0x7D, At(zone), blocks));
        return (completion.Status, completion.Result | ((ulong)completion.Result1 << 32));
    }

    /// <summary>Reads, and gives the only value that the blocks have.</summary>
    public (int Status, int Value) Read(ulong block, int blocks)
    {
        Rig.Data.Slice(0, blocks * 512).Fill(0xEE);
        int status = Queue.Execute(Rig.Transfer(0x02, block, blocks)).Status;
        Span<byte> data = Rig.Data.Slice(0, blocks * 512);
        return (status, data.IndexOfAnyExcept(data[0]) < 0 ? data[0] : -1);
    }

    /// <summary>Zone Management Send.</summary>
    public int Send(uint action, int zone = 0) => Queue.Execute(new RawCommand(0x79, 1).Set(10, (uint)At(zone)).Set(13, action)).Status;

    /// <summary>Makes zones 1 to 6 opened by a write, opened by the host, closed, full, read-only and offline; 0 and 7 stay empty.</summary>
    public void MakeOneOfEach()
    {
        Assert.Equal(0, Write(At(1), 8));
        Assert.Equal(0, Send(Open, 2));
        Assert.Equal(0, Write(At(3), 8));
        Assert.Equal(0, Send(Close, 3));
        Assert.Equal(0, Send(Finish, 4));
        Assert.True(Rig.Pair.Device.WearOutZone(1, 5));
        Assert.True(Rig.Pair.Device.WearOutZone(1, 6, isOffline: true));
    }

    public ZoneReport.Zone Zone(int zone) => ZoneReport.Get(Rig, Queue, At(zone), room: 1).Zones[0];

    public int State(int zone) => Zone(zone).State;

    public ValueTask DisposeAsync() => Rig.DisposeAsync();
}

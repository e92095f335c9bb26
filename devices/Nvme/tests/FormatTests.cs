using System.Buffers.Binary;
using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests;

/// <summary>Format NVM: what the namespace is afterwards, and what commands get meanwhile.</summary>
public sealed class FormatTests
{
    private static RawCommand Format(uint fields, uint nsid = 1) => new RawCommand(0x80, nsid).Set(10, fields);

    private static byte[] Identify(NvmeRig rig, uint nsid)
    {
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06, nsid) { Prp1 = rig.Data.Iova }).Status);
        return rig.Data.Slice(0, 4096).ToArray();
    }

    [Theory]
    [InlineData(0U, 9, 0, false)]
    [InlineData(1U, 12, 0, false)]
    [InlineData(2U, 9, 8, true)]
    [InlineData(3U, 12, 8, false)]
    [InlineData(0x13U | (1 << 5), 12, 8, true)]
    [InlineData(2U | (3 << 5) | 0x100, 9, 8, false)]
    public async Task Format_changes_block_and_metadata_and_keeps_the_capacity(uint fields, int shift, int metadata, bool polled)
    {
        const int Size = 4 << 20;
        await using var rig = new NvmeRig(new NvmeOptions { Polled = polled, Namespaces = [new() { Size = Size }] });
        RawQueue queue = rig.CreateQueue(1);
        rig.Data.Slice(0, 4096).Fill(0x77);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x01, 0, 8)).Status);

        Assert.Equal(0, rig.Admin.Execute(Format(fields)).Status);

        byte[] page = Identify(rig, 1);
        Assert.Equal((ulong)Size >> shift, BinaryPrimitives.ReadUInt64LittleEndian(page));
        Assert.Equal((byte)(fields & 0x1F), page[26]);
        Assert.Equal((byte)((fields >> 5) & 15), page[29]);
        Assert.Equal(0x80, page[32]);
        Assert.Equal(3, page[25]);
        int format = 128 + ((page[26] & 15) * 4);
        Assert.Equal((metadata, shift), (BinaryPrimitives.ReadUInt16LittleEndian(page.AsSpan(format)), page[format + 2]));

        // What was there is gone.
        rig.Data.Slice(0, 8192).Fill(0x55);
        RawCommand read = rig.Transfer(0x02, 0, 1, 1 << shift);
        read.Set(4, (uint)(rig.Data.Iova + 65536)).Set(12, 1U << 29);
        Assert.Equal(0, queue.Execute(read).Status);
        Assert.Equal(-1, rig.Data.Slice(0, 1 << shift).IndexOfAnyExcept((byte)0));
        Assert.Equal(0x80, queue.Execute(rig.Transfer(0x02, (ulong)Size >> shift, 1, 1 << shift)).Status);
    }

    [Fact]
    public async Task Commands_meanwhile_get_format_in_progress_and_the_admin_queue_goes_on()
    {
        var backend = new SlowClear(1 << 20);
        await using var rig = new NvmeRig(new NvmeOptions { Namespaces = [new() { Size = 1 << 20, Backend = _ => backend }, new() { Size = 1 << 20 }] });
        RawQueue queue = rig.CreateQueue(1);
        backend.Gate.Reset();

        ushort format = rig.Admin.Submit(Format(1));
        Assert.True(backend.Arrived.Wait(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken));
        RawCompletion read = queue.Execute(rig.Transfer(0x02, 0, 1));
        Assert.Equal(0x84, read.Status);
        Assert.Equal(0, (read.StatusField >> 15) & 1); // It may be tried again.
        Assert.Equal(0x84, queue.Execute(new RawCommand(0x00, nsid: 1)).Status);
        Assert.Equal(0x84, rig.Admin.Execute(Format(0)).Status);
        Assert.Equal(0x84, rig.Admin.Execute(Format(0, nsid: 2)).Status);
        Assert.Equal(0xE4, Identify(rig, 1)[32]);
        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 1, nsid: 2)).Status);
        backend.Gate.Set();

        RawCompletion done = rig.Admin.Take();
        Assert.Equal((format, 0), (done.Cid, done.Status));
        Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 0, 1, 4096)).Status);
        Assert.Equal(1, Identify(rig, 1)[26]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Reset_during_a_format_leaves_a_namespace_that_can_be_used(bool ofFunction)
    {
        var backend = new SlowClear(1 << 20);
        await using var rig = new NvmeRig(new NvmeOptions { Namespaces = [new() { Size = 1 << 20, Backend = _ => backend }] });
        backend.Gate.Reset();
        rig.Admin.Submit(Format(1));
        Assert.True(backend.Arrived.Wait(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken));
        if (ofFunction)
        {
            rig.Connection.Reset();
        }
        else
        {
            rig.Disable();
        }

        rig.Enable();
        RawQueue queue = rig.CreateQueue(1);
        Assert.Equal(0x84, queue.Execute(rig.Transfer(0x02, 0, 1)).Status);
        backend.Gate.Set();

        NvmeRig.WaitFor(() => queue.Execute(rig.Transfer(0x02, 0, 1, 4096)).Status == 0, "the format does not end");
        Assert.False(rig.Admin.TryTake(out _));
        Assert.Equal(1, Identify(rig, 1)[26]);
    }

    [Fact]
    public async Task Formats_under_load_lose_no_command()
    {
        await using var rig = new NvmeRig(new NvmeOptions { Namespaces = [new() { Size = 1 << 20 }] });
        RawQueue queue = rig.CreateQueue(1);
        Task load = Task.Run(
            () =>
            {
                for (int i = 0; i < 3000; i++)
                {
                    int status = queue.Execute(rig.Transfer(i % 2 == 0 ? (byte)0x01 : (byte)0x02, 0, 8, 4096)).Status;
                    Assert.True(status is 0 or 0x84, $"{status:X}");
                }
            },
            TestContext.Current.CancellationToken);
        for (uint i = 0; i < 20; i++)
        {
            Assert.Equal(0, rig.Admin.Execute(Format(i % 2)).Status);
        }

        await load;
    }

    /// <summary>Memory whose clearing waits.</summary>
    private sealed class SlowClear(ulong length) : INvmeBackend
    {
        private readonly MemoryBackend _memory = new(length);

        public ManualResetEventSlim Gate { get; } = new(initialState: true);

        public ManualResetEventSlim Arrived { get; } = new();

        public ulong Length => _memory.Length;

        public bool MayWait => true;

        public bool HasVolatileCache => false;

        public bool IsReadOnly => false;

        public Vfio.Abi.Errno Read(ulong offset, Span<byte> destination) => _memory.Read(offset, destination);

        public Vfio.Abi.Errno Write(ulong offset, ReadOnlySpan<byte> source) => _memory.Write(offset, source);

        public Vfio.Abi.Errno Flush() => _memory.Flush();

        public Vfio.Abi.Errno Clear(ulong offset, ulong length)
        {
            Arrived.Set();
            Gate.Wait(TimeSpan.FromSeconds(10));
            return _memory.Clear(offset, length);
        }

        public void Dispose()
        {
            _memory.Dispose();
            Gate.Dispose();
            Arrived.Dispose();
        }
    }
}

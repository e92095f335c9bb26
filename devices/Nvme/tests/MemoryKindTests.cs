using Vfio.Devices.Nvme.Tests.Harness;
using Vfio.Iommu;
using Vfio.User;

namespace Vfio.Devices.Nvme.Tests;

/// <summary>Queues, lists and data in memory that the controller cannot look at directly.</summary>
public sealed class MemoryKindTests
{
    public static TheoryData<bool, bool> Kinds => new() { { false, false }, { false, true }, { true, false }, { true, true } };

    private static VfioUserServerOptions Server(bool byMessages)
        => byMessages ? new VfioUserServerOptions { MessageDma = true } : new VfioUserServerOptions { ClientMemory = DescriptorMemoryPolicy.NeverMap };

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Everything_works_by_copies(bool byMessages, bool polled)
    {
        await using var rig = new NvmeRig(new NvmeOptions { Polled = polled }, server: Server(byMessages));
        RawQueue queue = rig.CreateQueue(1, entries: 4);
        for (int round = 0; round < 5; round++)
        {
            byte[] content = new byte[100 * 512];
            new Random(round).NextBytes(content);
            content.CopyTo(rig.Data.Slice(512, content.Length));
            Assert.Equal(0, queue.Execute(rig.Transfer(0x01, 3, 100, offset: 512)).Status);
            Assert.Equal(0, queue.Execute(rig.Transfer(0x05, 3, 100, offset: 512)).Status);
            rig.Data.Slice(0, 128 * 1024).Clear();
            Assert.Equal(0, queue.Execute(rig.Transfer(0x02, 3, 100, offset: 512)).Status);
            Assert.True(rig.Data.Slice(512, content.Length).SequenceEqual(content));
        }

        RawCommand wrong = rig.Transfer(0x02, 0, 1);
        wrong.Prp1 = 0x0F00_0000_0000;
        Assert.Equal(4, queue.Execute(wrong).Status);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06) { Prp1 = rig.Data.Iova }.Set(10, 1)).Status);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Resets_in_mid_flight_do_not_wait_for_the_host_s_memory(bool byMessages)
    {
        await using var rig = new NvmeRig(server: Server(byMessages));
        for (int round = 0; round < 10; round++)
        {
            RawQueue queue = rig.CreateQueue(1);
            for (int i = 0; i < 20; i++)
            {
                queue.Put(rig.Transfer(0x02, 0, 256));
            }

            queue.Ring();
            rig.Connection.Reset();
            Assert.Equal(0U, rig.Status);
            rig.Restart();
        }

        Assert.Equal(0, rig.CreateQueue(1).Execute(rig.Transfer(0x02, 0, 1)).Status);
    }
}

using Vfio.Abi;
using Vfio.Devices.Edu;
using Vfio.Testing;
using Vfio.TestUtilities;

namespace Vfio.User.Tests.Client;

public sealed class VfioUserConnectionTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    public static TheoryData<string> Modes => ["twin", "in band", "by message, twin", "by message, in band", "posted", "local"];

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task Edu_works_over_every_transport(string mode)
    {
        using DescriptorLeakGuard guard = new();
        await using DevicePair<EduDevice> pair = Make(mode);
        VfioConnection edu = pair.Connection;
        Assert.Equal(0x010000EDU, edu.Bar(0).Read32(0x00));
        edu.Bar(0).Write32(0x04, 0x12345678);
        Assert.Equal(~0x12345678U, edu.Bar(0).Read32(0x04));
        Assert.Equal(0x11E81234U, edu.Config.Read32(0));

        using InterruptSet msi = edu.EnableInterrupts(PciInterrupt.Msi);
        using DmaBuffer memory = edu.AllocateDma(8192);
        Random.Shared.NextBytes(memory.Span[..4096]);
        Transfer(edu, source: memory.Iova, destination: 0x40000, count: 4096, command: 1 | 4);
        Assert.True(msi[0].Wait(s_patience));
        edu.Bar(0).Write32(0x64, 0x100);
        Transfer(edu, source: 0x40000, destination: memory.Iova + 4096, count: 4096, command: 1 | 2 | 4);
        Assert.True(msi[0].Wait(s_patience));
        Assert.Equal(memory.Span[..4096], memory.Span[4096..]);
    }

    private static DevicePair<EduDevice> Make(string mode)
    {
        if (mode == "local")
        {
            return DevicePair.Local(() => new EduDevice());
        }

        VfioUserClientOptions client = new()
        {
            OfferTwinSocket = mode is "twin" or "by message, twin",
            ShareMemory = !mode.StartsWith("by message", StringComparison.Ordinal),
            PostedWrites = mode == "posted",
        };
        return DevicePair.OverSocket(() => new EduDevice(), new DevicePairOptions { Client = client });
    }

    private static void Transfer(VfioConnection edu, ulong source, ulong destination, ulong count, ulong command)
    {
        edu.Bar(0).Write64(0x80, source);
        edu.Bar(0).Write64(0x88, destination);
        edu.Bar(0).Write64(0x90, count);
        edu.Bar(0).Write64(0x98, command);
    }
}

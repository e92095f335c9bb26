using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Tests;

/// <summary>Containers under commands that nobody sane would send: an answer each, no exception, and nothing left charged in the end.</summary>
public sealed class HostileContainerTests
{
    private static readonly ulong[] s_interesting =
    [
        0, 1, 7, 8, 0x800, 0xFFF, 0x1000, 0x2000, 0x1_0000, 1 << 20, 1 << 30, (1ul << 59), (1ul << 59) + 0x1_0000, ulong.MaxValue, ulong.MaxValue - 0xFFF,
        TestUserMemory.Base, TestUserMemory.Base + 0x1_0000, TestUserMemory.Base + 0x10_0000, 0xDEAD_0000,
    ];

    [Theory]
    [InlineData(true, 1)]
    [InlineData(true, 2)]
    [InlineData(false, 3)]
    [InlineData(false, 4)]
    public async Task Random_commands_on_spapr_leave_nothing_charged(bool version2, int seed)
    {
        await using SpaprRig rig = new(version2, new SimulatedSpaprTableGroup { DefaultWindowSize = 1 << 20 }, static options => options with { LockedMemory = new LockedMemoryAccount(1 << 16) });
        Random random = new(seed);
        int answered = 0;
        for (int i = 0; i < 20_000; i++)
        {
            byte[] argument = Argument(random);
            uint command = VfioUapi.VFIO_IOMMU_SPAPR_TCE_GET_INFO + (uint)random.Next(12);
            argument.CopyTo(rig.User.Bytes, 0x1F_0000);
            answered += rig.Container.Ioctl(command, new UserArgument(rig.User, SpaprRig.Memory + 0x1F_0000)).IsError ? 0 : 1;
        }

        Assert.True(answered > 100, $"{answered}");
        Assert.Equal(Errno.None, rig.Group.UnsetContainer());
        Assert.Equal(0, rig.Charged);
        Assert.All(rig.Tables.Windows, Assert.Null);
    }

    [Theory]
    [InlineData(VfioUapi.VFIO_TYPE1v2_IOMMU, 5)]
    [InlineData(VfioUapi.VFIO_TYPE1_IOMMU, 6)]
    public async Task Random_commands_on_type1_leave_nothing_charged(uint type, int seed)
    {
        await using Type1Rig rig = new(physical: true, type: type, options: static options => options with { LockedMemory = new LockedMemoryAccount(1 << 16) });
        Random random = new(seed);
        for (int i = 0; i < 20_000; i++)
        {
            Argument(random).CopyTo(rig.User.Bytes, 0x3F_0000);
            _ = rig.Container.Ioctl(VfioUapi.VFIO_IOMMU_GET_INFO + (uint)random.Next(12), new UserArgument(rig.User, Type1Rig.Memory + 0x3F_0000));
        }

        rig.File.Dispose();
        Assert.Equal(Errno.None, rig.Group.UnsetContainer());
        Assert.Equal(0, rig.Iommu.MappingCount);
        Assert.Equal(0, rig.Fixture.Host.Options.LockedMemory.Pages);
    }

    /// <summary>A plausible head, then numbers that matter, now and then noise.</summary>
    private static byte[] Argument(Random random)
    {
        byte[] argument = new byte[64];
        if (random.Next(8) == 0)
        {
            random.NextBytes(argument);
        }

        uint[] sizes = [8, 12, 16, 24, 32, 40, 48, 64, 23, 4096];
        BinaryPrimitives.WriteUInt32LittleEndian(argument, sizes[random.Next(sizes.Length)]);
        BinaryPrimitives.WriteUInt32LittleEndian(argument.AsSpan(4), random.Next(4) == 0 ? (uint)random.Next(16) : 0);
        if (random.Next(3) == 0)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(argument.AsSpan(4), 3);
        }

        for (int at = 8; at < argument.Length; at += 8)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(argument.AsSpan(at), s_interesting[random.Next(s_interesting.Length)] + (random.Next(10) == 0 ? (ulong)random.Next(64) : 0));
        }

        if (random.Next(3) == 0)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(argument.AsSpan(8), random.Next(2) == 0 ? 12u : (uint)random.Next(20));
            BinaryPrimitives.WriteUInt32LittleEndian(argument.AsSpan(24), (uint)random.Next(4));
        }

        return argument;
    }
}

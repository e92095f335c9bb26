using FsCheck;
using FsCheck.Fluent;
using Vfio.Abi;

namespace Vfio.Pci.Tests;

/// <summary>Configuration space: vfio-user cases 66 to 73, vfio-core cases 148, 149, 151.</summary>
public sealed class ConfigSpaceTests
{
    private const uint ConfigRegion = (uint)PciRegion.Config;

    private static PciRig Express() => new(pci => pci
        .Subsystem(0xCAFE, 0xBABE)
        .Intx()
        .Bar(0, 0x1000, PciBarKind.Memory32, prefetchable: false)
        .Bar(1, 0x100, PciBarKind.Io, prefetchable: false)
        .Bar(2, 0x2_0000_0000, PciBarKind.Memory64, prefetchable: true)
        .Rom([0x55, 0xAA])
        .PowerManagement()
        .PciExpress()
        .Msi(4, maskable: true)
        .Msix(5, bar: 4)
        .Vendor([1, 2, 3, 4, 5], [0, 0xFF, 0x0F, 0, 0])
        .Aer()
        .SerialNumber(0x0123456789ABCDEF)
        .VendorExtended(0xBEEF, 2, [9, 8, 7], [0xFF, 0, 0]));

    [Fact]
    public async Task User066_whole_space_can_be_read_and_its_end_is_respected()
    {
        await using PciRig rig = Express();
        byte[] all = new byte[4096];
        Assert.Equal(4096, rig.Read(ConfigRegion, 0, all).Value);
        Assert.Equal([0x34, 0x12, 0x78, 0x56], all[..4]);
        Assert.Equal(Errno.EFAULT, rig.Read(ConfigRegion, 4092, new byte[8]).Error);
        Assert.Equal(Errno.EFAULT, rig.Write(ConfigRegion, 4092, new byte[8]).Error);
        Assert.Equal(Errno.EFAULT, rig.Read(ConfigRegion, (1UL << 40) - 1, new byte[1]).Error);
    }

    [Fact]
    public async Task Case149_conventional_space_has_256_bytes()
    {
        await using PciRig rig = new(pci => pci.Intx());
        Assert.Equal(Errno.EFAULT, rig.Read(ConfigRegion, 0xFC, new byte[8]).Error);
        Assert.Equal(4, rig.Read(ConfigRegion, 0xFC, new byte[4]).Value);
        Assert.Equal(Errno.None, rig.File.GetRegionInfo(7, out RegionInfo info, new CapabilityChain()));
        Assert.Equal((256UL, RegionFlags.Read | RegionFlags.Write, 7UL << 40), (info.Size, info.Flags, info.Position));
    }

    [Fact]
    public async Task Identity_is_read_only()
    {
        await using PciRig rig = Express();
        byte[] before = new byte[0x40];
        rig.Read(ConfigRegion, 0, before);
        foreach (int offset in new[] { 0, 1, 2, 3, 8, 9, 10, 11, 14, 15, 0x2C, 0x2D, 0x2E, 0x2F, 0x34, 0x3D, 0x3E, 0x3F })
        {
            rig.SetConfig(offset, 0x5A, 1);
        }

        byte[] after = new byte[0x40];
        rig.Read(ConfigRegion, 0, after);
        Assert.Equal(before, after);
        Assert.Equal(0xBABECAFE, rig.Config(0x2C));
        Assert.Equal(1U, rig.Config(PciRegister.InterruptPin, 1));
    }

    [Fact]
    public async Task User067_command_takes_any_width_and_only_its_writable_bits_change()
    {
        await using PciRig rig = Express();
        rig.SetConfig(PciRegister.Command, 0x0546, 2);
        Assert.Equal(0x0546U, rig.Config(PciRegister.Command, 2));
        rig.SetConfig(PciRegister.Command, 0xFFFF, 2);
        Assert.Equal(0x0557U, rig.Config(PciRegister.Command, 2));
        rig.SetConfig(PciRegister.Command, 0, 1);
        Assert.Equal(0x0500U, rig.Config(PciRegister.Command, 2));
        uint status = rig.Config(PciRegister.Status, 2);
        rig.SetConfig(PciRegister.Command, 0x00000002, 4);
        Assert.Equal((0x0002U, status), (rig.Config(PciRegister.Command, 2), rig.Config(PciRegister.Status, 2)));
        rig.SetConfig(PciRegister.Command + 1, 0x0004, 2);
        Assert.Equal(0x0402U, rig.Config(PciRegister.Command, 2));
        Assert.Equal((PciCommand)0x0402, rig.Device.Commands[^1]);
        Assert.Equal(5, rig.Device.Commands.Count);
    }

    [Fact]
    public async Task User068_status_bits_are_cleared_by_writing_ones()
    {
        await using PciRig rig = Express();
        rig.Device.Config.Update(PciRegister.Status, 0xF900, 0xF900);
        Assert.Equal(0xF910U, rig.Config(PciRegister.Status, 2));
        rig.SetConfig(PciRegister.Status, 0x8000, 2);
        Assert.Equal(0x7910U, rig.Config(PciRegister.Status, 2));
        rig.SetConfig(PciRegister.Status + 1, 0x21, 1);
        Assert.Equal(0x5810U, rig.Config(PciRegister.Status, 2));
        rig.SetConfig(PciRegister.Status, 0x0010, 2);
        Assert.Equal(0x5810U, rig.Config(PciRegister.Status, 2));
    }

    [Fact]
    public async Task User069_bars_size_themselves()
    {
        await using PciRig rig = Express();
        uint[] expected = [0xFFFFF000, 0xFFFFFF01, 0x0000000C, 0xFFFFFFFE, 0xFFFFF000, 0];
        for (int i = 0; i < 6; i++)
        {
            rig.SetConfig(0x10 + (4 * i), 0xFFFFFFFF);
            Assert.Equal(expected[i], rig.Config(0x10 + (4 * i)));
            rig.SetConfig(0x10 + (4 * i), 0);
        }

        rig.SetConfig(0x10, 0xABCDE123);
        Assert.Equal(0xABCDE000, rig.Config(0x10));
        rig.SetConfig(0x13, 0x55, 1);
        Assert.Equal(0x55CDE000U, rig.Config(0x10));
        rig.SetConfig(0x10, 0xFF, 1);
        Assert.Equal(0x55CDE000U, rig.Config(0x10));
        rig.SetConfig(0x12, 0xEEDD, 2);
        Assert.Equal(0xEEDDE000, rig.Config(0x10));
    }

    [Fact]
    public async Task Case151_bars_are_virtual()
    {
        uint stored = 0;
        CallbackRegisters map = new CallbackRegisters("m", 0x10).Add(0, () => stored, value => stored = value);
        await using PciRig rig = new(pci => pci.Bar(0, map, 0x1000).Bar(2, 0x1000, PciBarKind.Memory64, prefetchable: true));
        rig.SetConfig(PciRegister.Bar0, 0xFFFFFFFF);
        Assert.Equal(0xFFFFF000u, rig.Config(PciRegister.Bar0));
        rig.SetConfig(PciRegister.Bar0 + 8, 0xFFFFFFFF);
        Assert.Equal(0xFFFFF00Cu, rig.Config(PciRegister.Bar0 + 8));

        // Where software puts it changes nothing of the device.
        rig.Store(0, 0, 4, 0x1234);
        rig.SetConfig(PciRegister.Bar0, 0xABCD_E000);
        Assert.Equal(0x1234ul, rig.Load(0, 0, 4));
        Assert.Equal(Errno.None, rig.File.GetRegionInfo(0, out RegionInfo info, new CapabilityChain()));
        Assert.Equal((0x1000ul, 0ul), (info.Size, info.Position));
    }

    [Fact]
    public async Task User070_rom_bar_sizes_with_and_without_rom()
    {
        await using PciRig rig = Express();
        rig.SetConfig(PciRegister.RomBar, 0xFFFFF800);
        Assert.Equal(0xFFFFF800, rig.Config(PciRegister.RomBar));
        rig.SetConfig(PciRegister.RomBar, 1);
        Assert.Equal(1U, rig.Config(PciRegister.RomBar));

        await using PciRig without = new(_ => { });
        without.SetConfig(PciRegister.RomBar, 0xFFFFFFFF);
        Assert.Equal(0U, without.Config(PciRegister.RomBar));
        without.SetConfig(PciRegister.RomBar, 1);
        Assert.Equal(0U, without.Config(PciRegister.RomBar));
    }

    [Fact]
    public async Task User071_capability_headers_are_read_only_and_writes_across_ends_harm_no_neighbour()
    {
        await using PciRig rig = Express();
        byte[] before = new byte[4096];
        rig.Read(ConfigRegion, 0, before);
        int vendor = rig.FindCapability(0x09);
        rig.Write(ConfigRegion, (ulong)vendor, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
        byte[] after = new byte[4096];
        rig.Read(ConfigRegion, 0, after);

        before[vendor + 4] = 0xFF;
        before[vendor + 5] |= 0x0F;
        Assert.Equal(before, after);
        Assert.Equal(1, rig.Device.VendorChanges);
    }

    [Fact]
    public async Task Chains_reach_every_capability()
    {
        await using PciRig rig = Express();
        foreach (int id in new[] { 0x01, 0x10, 0x05, 0x11, 0x09 })
        {
            Assert.NotEqual(0, rig.FindCapability(id));
        }

        var found = new List<(uint Id, uint Version)>();
        for (uint at = 0x100; at != 0; at = rig.Config((int)at) >> 20)
        {
            uint header = rig.Config((int)at);
            found.Add((header & 0xFFFF, (header >> 16) & 15));
            Assert.True(found.Count < 10);
        }

        Assert.Equal([(1U, 2U), (3U, 1U), (0xBU, 1U)], found);
    }

    [Fact]
    public async Task User072_msix_control_takes_an_odd_two_byte_write()
    {
        await using PciRig rig = Express();
        int msix = rig.FindCapability(0x11);
        Assert.Equal(4U, rig.Config(msix + 2, 2));
        rig.SetConfig(msix + 3, 0x00C0, 2);
        Assert.Equal(0xC004U, rig.Config(msix + 2, 2));
        Assert.Equal(4U, rig.Config(msix + 4) & 7);
        Assert.Equal(0x50U | 4, rig.Config(msix + 8));
    }

    [Fact]
    public async Task User073_function_level_reset_calls_back_once_and_reads_zero()
    {
        await using PciRig rig = Express();
        int express = rig.FindCapability(0x10);
        Assert.NotEqual(0U, rig.Config(express + 4) & 0x10000000);
        uint control = rig.Config(express + 8, 2);
        rig.SetConfig(PciRegister.Command, 6, 2);
        rig.SetConfig(express + 8, control | 0x8000, 2);

        Assert.Equal([ResetKind.PowerOn, ResetKind.FunctionLevel], rig.Device.Resets);
        Assert.Equal(control, rig.Config(express + 8, 2));
        Assert.Equal(6U, rig.Config(PciRegister.Command, 2));

        await using PciRig without = new(pci => pci.PciExpress(functionLevelReset: false));
        without.SetConfig(without.FindCapability(0x10) + 8, 0x8000, 2);
        Assert.Equal([ResetKind.PowerOn], without.Device.Resets);
    }

    [Fact]
    public async Task Msi_may_not_enable_more_messages_than_the_device_asks_for()
    {
        await using PciRig rig = Express();
        int msi = rig.FindCapability(0x05);
        rig.SetConfig(msi + 2, 0x0071, 2);
        Assert.Equal(2U, (rig.Config(msi + 2, 2) >> 4) & 7);
        rig.SetConfig(msi + 4, 0xFFFFFFFF);
        Assert.Equal(0xFFFFFFFC, rig.Config(msi + 4));
        rig.SetConfig(msi + 0x10, 0xFFFFFFFF);
        Assert.Equal(0xFU, rig.Config(msi + 0x10));
    }

    [Fact]
    public async Task Power_states_D0_and_D3_are_taken_and_others_dropped()
    {
        await using PciRig rig = Express();
        int power = rig.FindCapability(0x01) + 4;
        rig.SetConfig(power, 3, 2);
        Assert.Equal(0xBU, rig.Config(power, 2));
        rig.SetConfig(power, 1, 2);
        Assert.Equal(0xBU, rig.Config(power, 2));
        rig.SetConfig(power, 0, 1);
        Assert.Equal(0x8U, rig.Config(power, 2));
        Assert.Equal([3, 0], rig.Device.PowerStates);
    }

    [Fact]
    public async Task Error_statuses_of_the_extended_capabilities_are_cleared_by_ones()
    {
        await using PciRig rig = Express();
        rig.Device.Config.Update(0x104, uint.MaxValue, 0x00140030);
        rig.SetConfig(0x104, 0x00100010);
        Assert.Equal(0x00040020U, rig.Config(0x104));
        rig.SetConfig(0x108, 0xFFFFFFFF);
        Assert.Equal(0x07FFF030U, rig.Config(0x108));
    }

    [Fact]
    public async Task Last_close_returns_everything_to_power_on_and_reset_keeps_the_header()
    {
        await using PciRig rig = Express();
        byte[] before = new byte[4096];
        rig.Read(ConfigRegion, 0, before);
        rig.SetConfig(0x10, 0xFEBF0000);
        rig.SetConfig(PciRegister.Command, 6, 2);
        rig.SetConfig(PciRegister.InterruptLine, 11, 1);
        rig.Device.Config.Update(PciRegister.Status, 0xF900, 0x8000);
        Assert.Equal(Errno.None, rig.File.Reset());
        Assert.Equal((0xFEBF0000, 6U, 0x10U), (rig.Config(0x10), rig.Config(PciRegister.Command, 2), rig.Config(PciRegister.Status, 2)));

        rig.Reopen();
        byte[] after = new byte[4096];
        rig.Read(ConfigRegion, 0, after);
        Assert.Equal(before, after);
    }

    /// <summary>Every sequence of accesses of any width and place does what a byte-wise model does.</summary>
    [Fact]
    public void Random_accesses_agree_with_a_byte_model()
    {
        Gen<(int Offset, byte[] Data, bool IsWrite)> access =
            from offset in Gen.Choose(0, 4100)
            from length in Gen.Frequency((4, Gen.Choose(0, 8)), (1, Gen.Choose(0, 600)))
            from data in Gen.ArrayOf(Gen.Choose(0, 255).Select(i => (byte)i), length)
            from isWrite in Gen.Elements(true, true, false)
            select (offset, data, isWrite);

        Prop.ForAll(Arb.From(Gen.ListOf(access)), accesses =>
        {
            var layout = new Random(accesses.Count);
            var config = new ConfigSpace(4096);
            byte[] model = new byte[4096];
            byte[] writable = new byte[4096];
            byte[] clearable = new byte[4096];
            layout.NextBytes(model);
            layout.NextBytes(writable);
            layout.NextBytes(clearable);
            for (int i = 0; i < 4096; i++)
            {
                clearable[i] &= (byte)~writable[i];
                config.Define(i, 1, model[i], writable[i], clearable[i]);
            }

            foreach ((int offset, byte[] data, bool isWrite) in accesses)
            {
                bool isInside = offset + data.Length <= 4096;
                if (isWrite)
                {
                    Assert.Equal(isInside ? Errno.None : Errno.EFAULT, config.Write((ulong)offset, data, out _));
                    for (int i = 0; isInside && i < data.Length; i++)
                    {
                        for (int bit = 1; bit < 256; bit <<= 1)
                        {
                            if ((writable[offset + i] & bit) != 0)
                            {
                                model[offset + i] = (byte)((model[offset + i] & ~bit) | (data[i] & bit));
                            }
                            else if ((clearable[offset + i] & bit) != 0 && (data[i] & bit) != 0)
                            {
                                model[offset + i] = (byte)(model[offset + i] & ~bit);
                            }
                        }
                    }
                }
                else
                {
                    byte[] read = new byte[data.Length];
                    Assert.Equal(isInside ? Errno.None : Errno.EFAULT, config.Read((ulong)offset, read));
                    Assert.Equal(isInside ? model.AsSpan(offset, data.Length).ToArray() : new byte[data.Length], read);
                }
            }

            byte[] all = new byte[4096];
            config.Read(0, all);
            Assert.Equal(model, all);
        }).QuickCheckThrowOnFailure();
    }

    /// <summary>Guests write anything anywhere: no access inside the space fails, headers and identity stay, lists stay sound.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Random_writes_never_break_the_lists(int seed)
    {
        await using PciRig rig = Express();
        var random = new Random(seed);
        byte[] data = new byte[64];
        for (int i = 0; i < 3000; i++)
        {
            random.NextBytes(data);
            int length = 1 << random.Next(0, 7);
            ulong offset = (ulong)random.Next(0, 4096 - length + 1);
            Assert.Equal(length, rig.Write(ConfigRegion, offset, data.AsSpan(0, length)).Count);
        }

        Assert.Equal(0x56781234U, rig.Config(0));
        foreach (int id in new[] { 0x01, 0x10, 0x05, 0x11, 0x09 })
        {
            Assert.NotEqual(0, rig.FindCapability(id));
        }

        Assert.Equal(4U, rig.Config(rig.FindCapability(0x11) + 2, 2) & 0x7FF);
    }
}

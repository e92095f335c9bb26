using Vfio.TestUtilities;

namespace Vfio.Pci.Tests;

public sealed class RegisterMapTests
{
    private uint _value = 0x11223344;
    private uint _cleared;
    private ulong _wide;

    private RegisterMap Map(out RegisterCell scratch) => new RegisterMap("dut", 0x100)
        .ReadOnly32(0x00, "id", () => 0xCAFE)
        .ReadWrite32(0x04, "value", () => _value, v => _value = v, "a value", RegisterWidths.All)
        .WriteOnly32(0x08, "command", v => _value = v)
        .WriteOneToClear32(0x0C, "status", () => 0xFF, v => _cleared = v, widths: RegisterWidths.Byte)
        .Storage32(0x10, "scratch", out scratch, reset: 0x55, writable: 0xFF, widths: RegisterWidths.Word)
        .ReadWrite64(0x18, "wide", () => _wide, v => _wide = v, widths: RegisterWidths.Dword)
        .ReadWrite64(0x20, "whole", () => _wide, v => _wide = v, widths: RegisterWidths.Dword, narrow: NarrowAccess.ZeroExtend)
        .Array32(0x40, "queue", 4, i => (uint)i * 10, (i, v) => _value = (uint)(i * 1000) + v, stride: 8)
        .Reserved(0x80, 16);

    [Theory]
    [InlineData(0x00, 4, AccessResult.Ok, 0xCAFEUL)]
    [InlineData(0x00, 2, AccessResult.InvalidAccessSize, 0UL)]
    [InlineData(0x00, 8, AccessResult.InvalidAccessSize, 0UL)]
    [InlineData(0x04, 1, AccessResult.Ok, 0x44UL)]
    [InlineData(0x06, 2, AccessResult.Ok, 0x1122UL)]
    [InlineData(0x07, 1, AccessResult.Ok, 0x11UL)]
    [InlineData(0x08, 4, AccessResult.WriteOnly, 0UL)]
    [InlineData(0x10, 4, AccessResult.Ok, 0x55UL)]
    [InlineData(0x14, 4, AccessResult.InvalidRegister, 0UL)]
    [InlineData(0x24, 4, AccessResult.InvalidRegister, 0UL)]
    [InlineData(0x48, 4, AccessResult.Ok, 10UL)]
    [InlineData(0x58, 4, AccessResult.Ok, 30UL)]
    [InlineData(0x44, 4, AccessResult.InvalidRegister, 0UL)]
    [InlineData(0x60, 4, AccessResult.InvalidRegister, 0UL)]
    [InlineData(0x84, 4, AccessResult.Ok, 0UL)]
    [InlineData(0xFC, 4, AccessResult.InvalidRegister, 0UL)]
    public void Read_answers_as_declared(ulong offset, int width, AccessResult expected, ulong value)
    {
        AccessResult result = Map(out _).Read(offset, width, out ulong read);
        Assert.Equal(expected, result);
        if (expected == AccessResult.Ok)
        {
            Assert.Equal(value, read);
        }
    }

    [Fact]
    public void Writes_do_what_the_access_says()
    {
        RegisterMap map = Map(out RegisterCell scratch);
        Assert.Equal(AccessResult.ReadOnly, map.Write(0x00, 4, 1));
        Assert.Equal(AccessResult.Ok, map.Write(0x06, 1, 0xAA));
        Assert.Equal(0x11AA3344U, _value);
        Assert.Equal(AccessResult.Ok, map.Write(0x0D, 1, 0x81));
        Assert.Equal(0x8100U, _cleared);
        Assert.Equal(AccessResult.Ok, map.Write(0x10, 4, 0x1234));
        Assert.Equal(0x34UL, scratch.Value);
        Assert.Equal(AccessResult.Ok, map.Write(0x18, 8, 0x1122334455667788));
        Assert.Equal(AccessResult.Ok, map.Write(0x1C, 4, 0xAABBCCDD));
        Assert.Equal(0xAABBCCDD55667788, _wide);
        Assert.Equal(AccessResult.Ok, map.Write(0x20, 4, 5));
        Assert.Equal(5UL, _wide);
        Assert.Equal(AccessResult.Ok, map.Write(0x50, 4, 7));
        Assert.Equal(2007U, _value);
        Assert.Equal(AccessResult.Ok, map.Write(0x80, 4, 7));
        map.Reset(ResetKind.DeviceReset);
        Assert.Equal(0x55UL, scratch.Value);
    }

    [Fact]
    public void Markdown_lists_registers_by_offset()
    {
        string[] lines = Map(out _).ToMarkdown().Split('\n');
        Assert.Equal("| 0x04 | 1, 2, 4, 8 | RW | value | a value |", lines[3]);
        Assert.Contains("| 0x10 | 2, 4 | RW | scratch | (reset 0x55) |", lines);
        Assert.Contains("| 0x40 | 4 | RW | queue[0…3], every 0x8 |  |", lines);
    }

    [Fact]
    public void Mistakes_are_thrown_at_first_use_all_together()
    {
        var map = new RegisterMap("bad", 0x10);
        map.ReadOnly32(0x1, "odd", () => 0).ReadOnly32(0x20, "far", () => 0).Array32(0x4, "loose", 2, _ => 0, null, stride: 2);
        PciConfigurationException error = Assert.Throws<PciConfigurationException>(() => map.Read(0, 4, out _));
        Assert.Equal(4, error.Mistakes.Count);
    }

    [Fact]
    public void Interleaved_arrays_are_accepted_and_colliding_ones_are_not()
    {
        var map = new RegisterMap("ok", 0x40);
        map.Array32(0, "head", 4, _ => 1, null, stride: 8).Array32(4, "tail", 4, _ => 2, null, stride: 8);
        Assert.Equal(AccessResult.Ok, map.Read(0xC, 4, out ulong value));
        Assert.Equal(2UL, value);

        var bad = new RegisterMap("bad", 0x40);
        bad.Array32(0, "head", 4, _ => 1, null, stride: 8).Array32(4, "tail", 4, _ => 2, null, stride: 4);
        Assert.Contains("overlaps", Assert.Throws<PciConfigurationException>(() => bad.Read(0, 4, out _)).Message);
    }

    [Fact]
    public void Declaring_after_use_is_refused()
    {
        RegisterMap map = Map(out _);
        map.Read(0, 4, out _);
        Assert.Throws<InvalidOperationException>(() => map.ReadOnly32(0x30, "late", () => 0));
    }

    [Fact]
    public void Access_allocates_nothing()
    {
        RegisterMap map = Map(out _);
        Assert.Equal(0, AllocationMeter.Measure(() =>
        {
            map.Read(4, 4, out ulong value);
            map.Write(4, 4, value);
            map.Write(0x48, 4, value);
        }));
    }
}

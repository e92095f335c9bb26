using System.Buffers;
using Vfio.Abi;
using Vfio.TestUtilities;

namespace Vfio.Pci.Generators.Tests;

/// <summary>What a declared register file does.</summary>
public sealed class RegisterFileTests
{
    private readonly ModesRegisters _dut = new();

    [Theory]
    [InlineData(0x00, 4, AccessResult.Ok, 0xCAFEUL)]
    [InlineData(0x00, 2, AccessResult.InvalidAccessSize, 0UL)]
    [InlineData(0x00, 8, AccessResult.InvalidAccessSize, 0UL)]
    [InlineData(0x04, 1, AccessResult.Ok, 0x44UL)]
    [InlineData(0x06, 2, AccessResult.Ok, 0x1122UL)]
    [InlineData(0x05, 4, AccessResult.Unaligned, 0UL)]
    [InlineData(0x08, 4, AccessResult.WriteOnly, 0UL)]
    [InlineData(0x1C, 4, AccessResult.Ok, 0UL)]
    [InlineData(0x24, 4, AccessResult.InvalidRegister, 0UL)]
    [InlineData(0x28, 4, AccessResult.Ok, 0x5AUL)]
    [InlineData(0x2D, 1, AccessResult.InvalidRegister, 0UL)]
    [InlineData(0x30, 4, AccessResult.Ok, 0x00070020UL)]
    [InlineData(0x32, 2, AccessResult.Ok, 0x0007UL)]
    [InlineData(0x60, 8, AccessResult.Ok, 0UL)]
    [InlineData(0x6C, 8, AccessResult.InvalidAccessSize, 0UL)]
    [InlineData(0x138, 4, AccessResult.Ok, 3UL)]
    [InlineData(0x13C, 4, AccessResult.Ok, 70UL)]
    [InlineData(0x13C, 2, AccessResult.InvalidAccessSize, 0UL)]
    [InlineData(0x140, 4, AccessResult.InvalidRegister, 0UL)]
    [InlineData(0x182, 2, AccessResult.Ok, 1UL)]
    [InlineData(0xFFFF_FFFF_FFFF_FFF8, 8, AccessResult.InvalidRegister, 0UL)]
    public void Read_answers_as_declared(ulong offset, int width, AccessResult expected, ulong value)
    {
        AccessResult result = _dut.Read(offset, width, out ulong read);

        Assert.Equal(expected, result);
        Assert.Equal(expected == AccessResult.Ok ? value : 0, read);
    }

    [Fact]
    public void Write_does_what_the_mode_says()
    {
        _dut.Causes = 0xFFFF;
        _dut.Sets = 0x10;
        _dut.Toggles = 0x11;

        Assert.Equal(AccessResult.ReadOnly, _dut.Write(0x00, 4, 1));
        Assert.Equal(AccessResult.ReadOnly, _dut.Write(0x14, 4, 1));
        Assert.Equal(AccessResult.Ok, _dut.Write(0x06, 1, 0xAA));
        Assert.Equal(AccessResult.Ok, _dut.Write(0x0D, 1, 0x81));
        Assert.Equal(AccessResult.Ok, _dut.Write(0x10, 2, 0x03));
        Assert.Equal(AccessResult.Ok, _dut.Write(0x12, 2, 0x03));
        Assert.Equal(AccessResult.Ok, _dut.Write(0x28, 4, 1));

        Assert.Equal(0x11AA3344U, _dut.Value);
        Assert.Equal(0x7EFFU, _dut.Causes);
        Assert.Equal(0x13, _dut.Sets);
        Assert.Equal(0x12, _dut.Toggles);
        Assert.Equal(0x5AU, _dut.Future);
    }

    [Fact]
    public void Read_clears_only_the_bytes_that_were_read()
    {
        _dut.Events = 0x01020304;

        Assert.Equal(AccessResult.Ok, _dut.Read(0x15, 1, out ulong read));

        Assert.Equal((0x03UL, 0x01020004U), (read, _dut.Events));
    }

    [Fact]
    public void Narrow_writes_keep_or_clear_the_other_bytes_as_declared()
    {
        _dut.Wide = _dut.Whole = ulong.MaxValue;

        _dut.Write(0x1C, 4, 5);
        _dut.Write(0x20, 4, 5);
        _dut.Write(0x0A, 2, 5);

        Assert.Equal(0x5_FFFF_FFFFUL, _dut.Wide);
        Assert.Equal(5UL, _dut.Whole);
        Assert.Equal(0x50000U, _dut.Command);
        Assert.Equal(AccessResult.InvalidRegister, _dut.Write(0x24, 4, 5));
    }

    [Fact]
    public void Fields_of_a_mixed_register_follow_their_own_modes()
    {
        _dut.Error = true;
        _dut.Event = true;

        Assert.Equal(AccessResult.Ok, _dut.Write(0x30, 4, 0xFFFF_FFFF));

        Assert.Equal((true, (Mode)7, false, true, true, true), (_dut.Enabled, _dut.Mode, _dut.Error, _dut.Set, _dut.Toggle, _dut.Go));
        Assert.Equal(7, _dut.Level);
        _dut.Read(0x30, 4, out ulong read);
        Assert.Equal(0x0007_0E71UL, read);
        Assert.False(_dut.Event);
    }

    [Fact]
    public void Hooks_run_before_and_after()
    {
        _dut.Write(0x38, 4, 1000);
        _dut.Read(0x38, 4, out ulong read);
        _dut.Write(0x38, 4, 0xDEAD);
        _dut.Write(0x118, 4, 9);
        _dut.Write(0x08, 1, 0xFF);

        Assert.Equal(200UL, read);
        Assert.Equal(["write 0 -> 100", "read 200", "write 100 -> 100", "ring 3 9", "command FF"], _dut.Calls);
        Assert.Equal(9U, _dut.Tails[3]);
    }

    [Fact]
    public void Fields_of_an_array_are_reached_by_index()
    {
        FieldArray<ushort> high = _dut.High;

        high[2] = 0x1FF;

        Assert.Equal((0xFF01, 0xFF, 1), (_dut.Table[2], high[2], _dut.Low[2]));
    }

    [Fact]
    public void Reset_gives_every_register_its_value()
    {
        _dut.Write(0x04, 4, 0);
        _dut.Write(0x100, 4, 0);
        _dut.Write(0x30, 4, 0);

        _dut.Reset(ResetKind.DeviceReset);

        Assert.Equal((0x11223344U, 3U, Mode.Slow, 0x00070020U), (_dut.Value, _dut.Tails[0], _dut.Mode, _dut.Mixed));
    }

    [Fact]
    public void Description_names_register_element_and_fields()
    {
        Assert.Equal("tails[2]", _dut.Describe(0x110));
        Assert.Equal("CC = 0x00070051 (EN=1, MODE=VeryFast, LVL=7)", _dut.Describe(0x30, 0x70051));
        Assert.Equal("CC = 0x00000007 (LVL=7)", _dut.Describe(0x32, 7));
        Assert.Equal("value = 0x00000000", _dut.Describe(0x04, 0));
        Assert.Null(_dut.Describe(0x50));
    }

    [Fact]
    public void Access_allocates_nothing()
    {
        Assert.Equal(0, AllocationMeter.Measure(() =>
        {
            _dut.Write(0x04, 4, 1);
            _dut.Read(0x04, 4, out _);
            _dut.Read(0x06, 1, out _);
            _dut.Write(0x30, 4, 1);
            _dut.Read(0x13C, 4, out _);
        }));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Random_accesses_do_what_a_naive_model_does(int seed)
    {
        Random random = new(seed);
        NaiveModes model = new();
        for (int i = 0; i < 20_000; i++)
        {
            int width = 1 << random.Next(4);
            ulong offset = (ulong)(random.Next(0x38) / width * width);
            ulong value = (ulong)random.NextInt64() & (ulong.MaxValue >> (64 - (width * 8)));
            if (random.Next(2) == 0)
            {
                Assert.Equal(model.Write(offset, width, value), _dut.Write(offset, width, value));
            }
            else
            {
                Assert.Equal((model.Read(offset, width, out ulong expected), expected), (_dut.Read(offset, width, out ulong read), read));
            }
        }
    }

    [Fact]
    public void Saved_state_is_restored_whole()
    {
        _dut.Write(0x04, 4, 0xABCD);
        _dut.Write(0x30, 4, 0x51);
        _dut.Write(0x118, 4, 9);
        _dut.Table[3] = 0x1201;
        ModesRegisters other = new();

        RegisterRestoreResult result = other.TryRestore(Save(_dut));

        Assert.Equal(Errno.None, result.Error);
        Assert.Equal((0xABCDU, 0x51U | 0x70000, 9U, 0x1201), (other.Value, other.Mixed, other.Tails[3], other.Table[3]));
        Assert.Empty(other.Calls);
    }

    [Fact]
    public void State_of_an_older_version_gives_new_registers_their_reset_values()
    {
        byte[] state = Save(_dut);
        byte[] older = state[..^16];
        (older[2], older[4], older[5]) = (1, (byte)older.Length, (byte)(older.Length >> 8));
        _dut.Table[1] = 0x5501;

        Assert.Equal(Errno.None, _dut.TryRestore(older).Error);

        Assert.Equal(1, _dut.Table[1]);
    }

    [Fact]
    public void State_that_is_not_of_these_registers_is_refused_with_a_reason()
    {
        byte[] state = Save(_dut);

        Refused(Errno.EPROTONOSUPPORT, "version 3; this model knows 1 to 2", Changed(2, 3));
        Refused(Errno.EPROTONOSUPPORT, "the form 9", Changed(0, 9));
        Refused(Errno.EINVAL, "expected. It was cut", state[..^1]);
        Refused(Errno.EINVAL, "expected. It was cut", []);
        Refused(Errno.EINVAL, "a register at 0xFF where 'value' at 0x4", Changed(8, 0xFF));
        Refused(Errno.EINVAL, "another width or count for 'value'", Changed(12, 2));

        byte[] Changed(int at, byte value)
        {
            byte[] copy = [.. state];
            copy[at] = value;
            return copy;
        }

        void Refused(Errno error, string reason, byte[] bytes)
        {
            RegisterRestoreResult result = _dut.TryRestore(bytes);
            Assert.Equal(error, result.Error);
            Assert.Contains(reason, result.ToString(), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Mutated_state_never_throws_and_is_refused_whole_or_restored_whole()
    {
        Random random = new(20);
        byte[] state = Save(_dut);
        int refused = 0;
        for (int i = 0; i < 20_000; i++)
        {
            byte[] mutated = [.. state.Take(random.Next(4) == 0 ? random.Next(state.Length + 1) : state.Length)];
            for (int n = random.Next(4); n >= 0 && mutated.Length > 0; n--)
            {
                mutated[random.Next(mutated.Length)] ^= (byte)(1 << random.Next(8));
            }

            byte[] before = Save(_dut);
            RegisterRestoreResult result = _dut.TryRestore(mutated);
            refused += result.Error == Errno.None ? 0 : 1;
            Assert.Equal(result.Error == Errno.None ? mutated : before, Save(_dut));
            Assert.NotEmpty(result.ToString());
        }

        Assert.InRange(refused, 1, 19_999);
    }

    private static byte[] Save(RegisterFile file)
    {
        ArrayBufferWriter<byte> writer = new();
        file.Save(writer);
        return writer.WrittenSpan.ToArray();
    }
}

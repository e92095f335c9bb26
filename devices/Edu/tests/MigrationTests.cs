using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Testing;

namespace Vfio.Devices.Edu.Tests;

/// <summary>A device that is saved here and goes on there.</summary>
public sealed class MigrationTests
{
    private const ulong Memory = 0x10_0000;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    private static DevicePair<EduDevice> Pair(bool overSocket, EduOptions? options = null)
        => overSocket ? DevicePair.OverSocket(() => new EduDevice(options)) : DevicePair.Local(() => new EduDevice(options));

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Registers_buffer_and_causes_are_the_same_on_the_other_device(bool overSocket)
    {
        await using DevicePair<EduDevice> from = Pair(overSocket);
        await using DevicePair<EduDevice> to = Pair(overSocket);
        using DmaBuffer there = from.Connection.AllocateDma(8192, iova: Memory);
        using DmaBuffer here = to.Connection.AllocateDma(8192, iova: Memory);
        there.Slice(0, 4).Fill(0xA5);
        VfioRegion old = from.Connection.Bar(0);
        old.Write32(0x04, 0x1234);
        old.Write32(0x60, 0x40);
        Transfer(old, Memory, 0x40000, 4, command: 1);

        byte[] state = DeviceState.Save(from.Connection);
        Assert.Equal(Errno.None, DeviceState.TryRestore(to.Connection, state));

        VfioRegion region = to.Connection.Bar(0);
        Assert.Equal(~0x1234U, region.Read32(0x04));
        Assert.Equal(0x40U, region.Read32(0x24));
        Transfer(region, 0x40000, Memory + 4096, 4, command: 3);
        Assert.Equal(0xA5A5A5A5, BinaryPrimitives.ReadUInt32LittleEndian(here.Slice(4096, 4)));
    }

    [Fact]
    public async Task Computation_that_was_begun_here_ends_there_and_interrupts()
    {
        var options = new EduOptions { FactorialDelay = TimeSpan.FromMilliseconds(300) };
        await using DevicePair<EduDevice> from = Pair(overSocket: true, options);
        await using DevicePair<EduDevice> to = Pair(overSocket: true, options);
        using InterruptSet msi = to.Connection.EnableInterrupts(PciInterrupt.Msi);
        from.Connection.Bar(0).Write32(0x20, 0x80);
        from.Connection.Bar(0).Write32(0x08, 5);

        byte[] state = DeviceState.Save(from.Connection);
        Thread.Sleep(500);
        Assert.Equal(5U, from.Connection.Bar(0).Read32(0x08));
        Assert.Equal(Errno.None, DeviceState.TryRestore(to.Connection, state));

        Assert.True(msi[0].Wait(s_patience));
        Assert.Equal(120U, to.Connection.Bar(0).Read32(0x08));
        Assert.Equal(1U, to.Connection.Bar(0).Read32(0x24));
    }

    [Fact]
    public async Task Migration_that_is_given_up_lets_the_device_go_on()
    {
        await using DevicePair<EduDevice> pair = Pair(overSocket: true, new EduOptions { FactorialDelay = TimeSpan.FromMilliseconds(50) });
        VfioRegion region = pair.Connection.Bar(0);
        Assert.Equal(Errno.None, pair.Connection.TryGetMigrationFlags(out MigrationFlags flags));
        Assert.Equal(MigrationFlags.StopCopy | MigrationFlags.PreCopy, flags);
        region.Write32(0x08, 6);

        Assert.Equal(Errno.None, pair.Connection.TrySetMigrationState(MigrationState.PreCopy));
        Assert.NotEmpty(DeviceState.ReadRest(pair.Connection));
        Assert.Equal(Errno.None, pair.Connection.TrySetMigrationState(MigrationState.StopCopy));
        Thread.Sleep(200);
        Assert.Equal(1U, region.Read32(0x20));
        Assert.Equal(Errno.None, pair.Connection.TrySetMigrationState(MigrationState.Running));

        WaitFor(() => region.Read32(0x20) == 0);
        Assert.Equal(720U, region.Read32(0x08));
    }

    [Fact]
    public async Task Last_close_of_a_stopped_device_lets_the_next_user_use_it()
    {
        await using DevicePair<EduDevice> pair = Pair(overSocket: false);
        Assert.Equal(Errno.None, pair.Connection.TrySetMigrationState(MigrationState.Stop));
        await pair.Connection.DisposeAsync();

        using VfioConnection next = LocalConnection.Open(pair.Host, pair.Device.Name);
        next.Bar(0).Write32(0x08, 4);

        WaitFor(() => next.Bar(0).Read32(0x20) == 0);
        Assert.Equal(24U, next.Bar(0).Read32(0x08));
    }

    [Fact]
    public async Task State_of_a_device_with_other_settings_is_refused_in_precopy()
    {
        await using DevicePair<EduDevice> from = Pair(overSocket: true, new EduOptions { DmaMask = ulong.MaxValue });
        await using DevicePair<EduDevice> to = Pair(overSocket: true);
        to.Connection.Bar(0).Write32(0x04, 7);
        Assert.Equal(Errno.None, from.Connection.TrySetMigrationState(MigrationState.PreCopy));
        Assert.Equal(Errno.None, to.Connection.TrySetMigrationState(MigrationState.Resuming));

        Assert.Equal(Errno.EINVAL, to.Connection.TryWriteMigrationData(DeviceState.ReadRest(from.Connection)).Error);
        Assert.Equal(Errno.EINVAL, to.Connection.TrySetMigrationState(MigrationState.Running));

        to.Connection.Reset();
        Assert.Equal(Errno.None, to.Connection.TryGetMigrationState(out MigrationState state));
        Assert.Equal(MigrationState.Running, state);
    }

    /// <summary>A cut or padded state, another form, and another version of the registers.</summary>
    [Theory]
    [InlineData("empty", Errno.EINVAL)]
    [InlineData("head", Errno.EINVAL)]
    [InlineData("cut", Errno.EINVAL)]
    [InlineData("padded", Errno.EINVAL)]
    [InlineData("huge", Errno.EFBIG)]
    [InlineData("form", Errno.EPROTONOSUPPORT)]
    [InlineData("version", Errno.EPROTONOSUPPORT)]
    public async Task State_that_is_none_is_refused_and_leaves_the_device_as_it_was(string mistake, Errno expected)
    {
        await using DevicePair<EduDevice> from = Pair(overSocket: true);
        await using DevicePair<EduDevice> to = Pair(overSocket: true);
        to.Connection.Bar(0).Write32(0x04, 7);
        byte[] state = DeviceState.Save(from.Connection);
        int head = DeviceStateHead(state);
        byte[] wrong = mistake switch
        {
            "empty" => [],
            "head" => state[..(head - 3)],
            "cut" => state[..^1],
            "padded" => [.. state, 0],
            "huge" => [.. state, .. new byte[1 << 20]],
            "form" => Changed(state, 8),
            _ => Changed(state, head + 8 + 2 + 10 + 2),
        };

        Assert.Equal(expected, DeviceState.TryRestore(to.Connection, wrong));

        Assert.Equal(~7U, to.Connection.Bar(0).Read32(0x04));
        to.Connection.Reset();
        Assert.Equal(Errno.None, DeviceState.TryRestore(to.Connection, state));
    }

    [Fact]
    public async Task Any_bytes_are_refused_or_taken_and_the_device_goes_on()
    {
        await using DevicePair<EduDevice> from = Pair(overSocket: false);
        await using DevicePair<EduDevice> to = Pair(overSocket: false);
        byte[] state = DeviceState.Save(from.Connection);
        var random = new Random(5);
        for (int round = 0; round < 300; round++)
        {
            byte[] wrong = state[..random.Next(state.Length + 1)];
            if (round % 2 == 0)
            {
                wrong = [.. state];
            }

            for (int changes = random.Next(1, 6); changes > 0 && wrong.Length != 0; changes--)
            {
                wrong[random.Next(Math.Min(wrong.Length, 400))] = (byte)random.Next(256);
            }

            _ = DeviceState.TryRestore(to.Connection, wrong);
            to.Connection.Reset();
        }

        to.Connection.Bar(0).Write32(0x08, 4);
        WaitFor(() => to.Connection.Bar(0).Read32(0x20) == 0);
        Assert.Equal(24U, to.Connection.Bar(0).Read32(0x08));
    }

    [Fact]
    public async Task Pages_that_dma_writes_are_logged_until_they_are_reported()
    {
        await using DevicePair<EduDevice> pair = Pair(overSocket: true);
        using DmaBuffer memory = pair.Connection.AllocateDma(64 * 1024, iova: Memory);
        VfioRegion region = pair.Connection.Bar(0);
        _ = IovaRange.TryCreate(Memory, 64 * 1024, out IovaRange range);
        ulong pageSize = 4096;
        Transfer(region, 0x40000, Memory, 4, command: 3);
        Assert.Equal(Errno.None, pair.Connection.TryStartDirtyLog([range], ref pageSize));
        Assert.Equal(4096UL, pageSize);

        Transfer(region, 0x40000, Memory + 0x3FFE, 4, command: 3);
        Transfer(region, 0x40000, Memory + 0x8000, 4096, command: 3);
        Transfer(region, Memory + 0xA000, 0x40000, 4, command: 1);

        ulong[] dirty = new ulong[1];
        Assert.Equal(Errno.None, pair.Connection.TryReadDirtyLog(range, pageSize, dirty));
        Assert.Equal(0b1_0001_1000UL, dirty[0]);
        Assert.Equal(Errno.None, pair.Connection.TryReadDirtyLog(range, pageSize, dirty.AsSpan()));
        Transfer(region, 0x40000, Memory, 4, command: 3);
        dirty[0] = 0;
        Assert.Equal(Errno.None, pair.Connection.TryReadDirtyLog(range, pageSize, dirty));
        Assert.Equal(1UL, dirty[0]);
        Assert.Equal(Errno.None, pair.Connection.TryStopDirtyLog());
        Assert.NotEqual(Errno.None, pair.Connection.TryReadDirtyLog(range, pageSize, dirty));
    }

    private static void Transfer(VfioRegion region, ulong source, ulong destination, uint count, uint command)
    {
        region.Write64(0x80, source);
        region.Write64(0x88, destination);
        region.Write64(0x90, count);
        region.Write64(0x98, command);
        WaitFor(() => (region.Read32(0x98) & 1) == 0);
    }

    /// <summary>Where the state begins: behind the identity.</summary>
    private static int DeviceStateHead(byte[] state) => 12 + BinaryPrimitives.ReadUInt16LittleEndian(state.AsSpan(10));

    private static byte[] Changed(byte[] state, int at)
    {
        byte[] changed = [.. state];
        changed[at] ^= 0x80;
        return changed;
    }

    private static void WaitFor(Func<bool> condition) => Assert.True(SpinWait.SpinUntil(condition, s_patience));
}

using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Tests;

/// <summary>Migration by its binary interface: states, data files, pre-copy information (spec vfio-core §6.3, §6.4, §10.10).</summary>
public sealed class MigrationTests
{
    private const uint State = VfioUapi.VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE;
    private const uint Get = VfioUapi.VFIO_DEVICE_FEATURE_GET;
    private const uint Set = VfioUapi.VFIO_DEVICE_FEATURE_SET;

    [Fact]
    public async Task Case112_opt_in_to_version_2_ends_with_the_last_close()
    {
        await using Rig rig = new();
        Assert.Equal(Errno.None, rig.OptIn());
        Assert.Equal((Errno.None, 100), rig.SetState(MigrationState.PreCopy));
        rig.Migration.Dirty(10, reinitialize: true);
        Assert.Equal(Errno.None, rig.PrecopyInfo(100, 24, out byte[] info, flags: 0xF0));
        Assert.Equal(VfioUapi.VFIO_PRECOPY_INFO_REINIT, U32(info, 4));
        rig.File.Dispose();

        VfioDeviceFile again = rig.Fixture.OpenBound();
        Assert.Equal((Errno.None, 101), rig.SetState(MigrationState.PreCopy, again));
        rig.Migration.Dirty(10, reinitialize: true);
        Assert.Equal(Errno.None, rig.PrecopyInfo(101, 24, out info, flags: 0xF0));
        Assert.Equal(0xF0u, U32(info, 4));
    }

    [Fact]
    public async Task Case168_173_state_that_is_there_already_and_its_report()
    {
        await using Rig rig = new();
        Assert.Equal((Errno.None, -1), rig.SetState(MigrationState.Running));
        Assert.Empty(rig.Migration.Hops);
        Assert.Equal((Errno.None, MigrationState.Running, -1), rig.GetState());
        Assert.Equal((Errno.None, 100), rig.SetState(MigrationState.StopCopy));
        Assert.Equal((Errno.None, MigrationState.StopCopy, -1), rig.GetState());
        Assert.Equal((Errno.None, -1), rig.SetState(MigrationState.StopCopy));
    }

    [Fact]
    public async Task Case169_pre_copy_and_stop_copy_are_one_session()
    {
        await using Rig rig = new();
        Assert.Equal((Errno.None, 100), rig.SetState(MigrationState.PreCopy));
        Assert.Equal((Errno.None, -1), rig.SetState(MigrationState.StopCopy));
        Assert.Equal([MigrationState.PreCopy, MigrationState.PreCopyP2P, MigrationState.StopCopy], rig.Migration.Hops);
        Assert.Equal(StreamMigration.Length, rig.Data(100).Read(new byte[1000]).Value);
        Assert.Single(rig.Migration.Files);
    }

    [Fact]
    public async Task Case170_there_is_no_way_back_from_stop_copy_to_pre_copy()
    {
        await using Rig rig = new();
        Assert.Equal((Errno.None, 100), rig.SetState(MigrationState.StopCopy));
        Assert.Equal((Errno.EINVAL, -1), rig.SetState(MigrationState.PreCopy));
        Assert.Equal((Errno.None, MigrationState.StopCopy, -1), rig.GetState());
        Assert.False(rig.Data(100).IsEnded);
    }

    [Fact]
    public async Task Case171_incomplete_data_fails_the_stop()
    {
        await using Rig rig = new();
        Assert.Equal((Errno.None, 100), rig.SetState(MigrationState.Resuming));
        Assert.Equal(10, rig.Data(100).Write(new byte[10]).Value);
        Assert.Equal((Errno.EINVAL, -1), rig.SetState(MigrationState.Stop));
        Assert.Equal((Errno.None, MigrationState.Resuming, -1), rig.GetState());
        Assert.Equal(290, rig.Data(100).Write(new byte[290]).Value);
        Assert.Equal((Errno.None, -1), rig.SetState(MigrationState.Stop));
        Assert.Equal(new byte[StreamMigration.Length], rig.Migration.State);
    }

    [Fact]
    public async Task Case172_full_table_fails_after_the_state_has_changed()
    {
        await using Rig rig = new();
        Assert.Equal((Errno.None, -1), rig.SetState(MigrationState.Stop));
        rig.Files.IsFull = true;
        Assert.Equal(Errno.EMFILE, rig.SetState(MigrationState.StopCopy).Error);
        Assert.Equal((Errno.None, MigrationState.StopCopy, -1), rig.GetState());
        Assert.False(rig.Migration.Files[0].TryDuplicate());
    }

    [Fact]
    public async Task Unwritable_answer_takes_the_file_back_after_the_state_has_changed()
    {
        await using Rig rig = new();
        TestUserMemory memory = new(16, writable: 8);
        Request(State | Set, 16, MigrationState.StopCopy).CopyTo(memory.Bytes, 0);
        Assert.Equal(Errno.EFAULT, rig.File.Ioctl(VfioUapi.VFIO_DEVICE_FEATURE, new UserArgument(memory, TestUserMemory.Base, rig.Files)).Error);
        Assert.Empty(rig.Files.Files);
        Assert.False(rig.Migration.Files[0].TryDuplicate());
        Assert.Equal((Errno.None, MigrationState.StopCopy, -1), rig.GetState());
    }

    [Fact]
    public async Task Case174_pre_copy_information()
    {
        await using Rig rig = new();
        Assert.Equal((Errno.None, 100), rig.SetState(MigrationState.PreCopy));
        Assert.Equal(Errno.EINVAL, rig.PrecopyInfo(100, 23, out _));
        Assert.Equal(Errno.None, rig.PrecopyInfo(100, 24, out byte[] info));
        Assert.Equal((100ul, 0ul), (U64(info, 8), U64(info, 16)));
        Assert.Equal(60, rig.Data(100).Read(new byte[60]).Value);
        rig.Migration.Dirty(7);
        Assert.Equal(Errno.None, rig.PrecopyInfo(100, 100, out info));
        Assert.Equal((40ul, 7ul), (U64(info, 8), U64(info, 16)));
        Assert.Equal(Errno.EFAULT, rig.Data(100).Ioctl(VfioUapi.VFIO_MIG_GET_PRECOPY_INFO, new UserArgument(new byte[20])).Error);
        Assert.Equal(Errno.ENOTTY, rig.Data(100).Ioctl(VfioUapi.VFIO_DEVICE_GET_INFO, new UserArgument(new byte[24])).Error);
        Assert.Equal((Errno.None, -1), rig.SetState(MigrationState.PreCopyP2P));
        Assert.Equal(Errno.None, rig.PrecopyInfo(100, 24, out _));
        Assert.Equal((Errno.None, -1), rig.SetState(MigrationState.StopCopy));
        Assert.Equal(Errno.EINVAL, rig.PrecopyInfo(100, 24, out _));
    }

    [Fact]
    public async Task Data_file_is_a_stream_that_can_be_waited_for()
    {
        await using Rig rig = new();
        Assert.Equal((Errno.None, 100), rig.SetState(MigrationState.PreCopy));
        MigrationDataFile data = rig.Data(100);
        Assert.Equal(Errno.ESPIPE, data.Read(new byte[1], 0).Error);
        Assert.Equal(Errno.ESPIPE, data.Write(new byte[1], 0).Error);
        Assert.Equal(Errno.EBADF, data.Write(new byte[1]).Error);
        Assert.Equal(Errno.ENODEV, data.Map(new MapRequest(0, 4096, MemoryProtection.Read), out _));
        Assert.Equal(EventLoopEvents.Read, data.Readiness);
        Assert.Equal(100, data.Read(new byte[200]).Value);
        Assert.Equal(Errno.ENOMSG, data.Read(new byte[1]).Error);
        Assert.Equal(EventLoopEvents.None, data.Readiness);
        int told = 0;
        data.ReadinessChanged += () => told++;
        rig.Migration.Dirty(5);
        Assert.Equal((1, EventLoopEvents.Read), (told, data.Readiness));
        Assert.Equal(5, data.Read(new byte[200]).Value);
        Assert.Equal((Errno.None, -1), rig.SetState(MigrationState.StopCopy));
        Assert.Equal(StreamMigration.Length, data.Read(new byte[1000]).Value);
        Assert.Equal(0, data.Read(new byte[1]).Value);
        Assert.Equal((0, EventLoopEvents.Read), (data.Read(new byte[1]).Count, data.Readiness));
    }

    [Fact]
    public async Task Session_ends_when_its_states_are_left_and_with_resets_and_closes()
    {
        await using Rig rig = new();
        Assert.Equal((Errno.None, 100), rig.SetState(MigrationState.PreCopy));
        Assert.Equal((Errno.None, -1), rig.SetState(MigrationState.RunningP2P));
        Assert.True(rig.Data(100).IsEnded);
        Assert.Equal(Errno.ENODEV, rig.Data(100).Read(new byte[1]).Error);
        Assert.Equal(Errno.ENODEV, rig.PrecopyInfo(100, 24, out _));

        Assert.Equal((Errno.None, 101), rig.SetState(MigrationState.Resuming));
        int told = 0;
        rig.Data(101).ReadinessChanged += () => told++;
        Assert.Equal(Errno.None, rig.File.Reset());
        Assert.Equal((Errno.None, MigrationState.Running, -1), rig.GetState());
        Assert.Equal(Errno.ENODEV, rig.Data(101).Write(new byte[1]).Error);
        Assert.Equal(1, told);

        Assert.Equal((Errno.None, 102), rig.SetState(MigrationState.StopCopy));
        rig.File.Dispose();
        Assert.Equal(Errno.ENODEV, rig.Data(102).Read(new byte[1]).Error);
    }

    [Fact]
    public async Task What_one_device_saves_another_resumes()
    {
        await using Rig source = new();
        await using Rig target = new();
        source.Migration.State[5] = 0xAB;
        Assert.Equal((Errno.None, 100), source.SetState(MigrationState.StopCopy));
        Assert.Equal((Errno.None, 100), target.SetState(MigrationState.Resuming));
        byte[] piece = new byte[7];
        while (source.Data(100).Read(piece) is { Count: > 0 } read)
        {
            Assert.Equal(read.Value, target.Data(100).Write(piece.AsSpan(0, read.Count)).Value);
        }

        Assert.Equal((Errno.None, -1), target.SetState(MigrationState.Running));
        Assert.Equal(source.Migration.State, target.Migration.State);
        Assert.Equal(Errno.None, source.File.GetMigrationDataSize(out ulong size));
        Assert.Equal((ulong)StreamMigration.Length, size);
    }

    private static byte[] Request(uint flags, uint argsz, MigrationState state)
    {
        byte[] request = new byte[16];
        BinaryPrimitives.WriteUInt32LittleEndian(request, argsz);
        BinaryPrimitives.WriteUInt32LittleEndian(request.AsSpan(4), flags);
        BinaryPrimitives.WriteUInt32LittleEndian(request.AsSpan(8), (uint)state);
        BinaryPrimitives.WriteInt32LittleEndian(request.AsSpan(12), 77);
        return request;
    }

    private static uint U32(byte[] bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at));

    private static ulong U64(byte[] bytes, int at) => BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at));

    private sealed class Rig : IAsyncDisposable
    {
        public Rig()
        {
            _ = Fixture.Add(create: () => new RecordingDevice { MigrationOperations = Migration, Resets = true });
            File = Fixture.OpenBound();
        }

        public CoreFixture Fixture { get; } = new();

        public StreamMigration Migration { get; } = new();

        public VfioDeviceFile File { get; }

        public TestFileTable Files { get; } = new();

        public MigrationDataFile Data(int number) => (MigrationDataFile)Files.Files[number];

        public (Errno Error, int File) SetState(MigrationState state, VfioDeviceFile? file = null)
        {
            byte[] request = Request(State | Set, 16, state);
            Errno error = (file ?? File).Ioctl(VfioUapi.VFIO_DEVICE_FEATURE, new UserArgument(request, Files)).Error;
            return (error, BinaryPrimitives.ReadInt32LittleEndian(request.AsSpan(12)));
        }

        public (Errno Error, MigrationState State, int File) GetState()
        {
            byte[] request = Request(State | Get, 16, MigrationState.Error);
            Errno error = File.Ioctl(VfioUapi.VFIO_DEVICE_FEATURE, new UserArgument(request, Files)).Error;
            return (error, (MigrationState)U32(request, 8), BinaryPrimitives.ReadInt32LittleEndian(request.AsSpan(12)));
        }

        public Errno OptIn()
        {
            byte[] request = Request(VfioUapi.VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2 | Set, 8, MigrationState.Error);
            return File.Ioctl(VfioUapi.VFIO_DEVICE_FEATURE, new UserArgument(request, Files)).Error;
        }

        public Errno PrecopyInfo(int number, uint argsz, out byte[] info, uint flags = 0)
        {
            info = new byte[24];
            BinaryPrimitives.WriteUInt32LittleEndian(info, argsz);
            BinaryPrimitives.WriteUInt32LittleEndian(info.AsSpan(4), flags);
            return Data(number).Ioctl(VfioUapi.VFIO_MIG_GET_PRECOPY_INFO, new UserArgument(info)).Error;
        }

        public ValueTask DisposeAsync() => Fixture.DisposeAsync();
    }
}

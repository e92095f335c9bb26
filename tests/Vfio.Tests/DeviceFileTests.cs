using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Tests;

/// <summary>The device's character device file: bind, attach, dispatch (spec vfio-core §5.4, §5.5, §10.6).</summary>
public sealed class DeviceFileTests
{
    [Fact]
    public async Task Case083_unbound_file_refuses_everything()
    {
        await using CoreFixture f = new();
        _ = f.Add();
        VfioDeviceFile file = f.Open();
        uint id = 1;
        Assert.Equal(Errno.EINVAL, file.Read(new byte[4], 0).Error);
        Assert.Equal(Errno.EINVAL, file.Write(new byte[4], 0).Error);
        Assert.Equal(Errno.EINVAL, file.Map(new MapRequest(0, 4096, MemoryProtection.Read), out _));
        Assert.Equal(Errno.EINVAL, file.GetInfo(out _));
        Assert.Equal(Errno.EINVAL, file.Ioctl(VfioUapi.VFIO_DEVICE_FEATURE, new UserArgument(new byte[16])).Error);
        Assert.Equal(Errno.EINVAL, file.Attach(ref id));
        Assert.Equal(Errno.EINVAL, file.Detach());
    }

    [Theory]
    [InlineData(15, 0, Errno.EINVAL)]
    [InlineData(16, 0, Errno.None)]
    [InlineData(24, 0, Errno.None)]
    [InlineData(32, 0, Errno.None)]
    [InlineData(32, 1, Errno.E2BIG)]
    public async Task Case084_bind_sizes(int argsz, byte tail, Errno expected)
    {
        await using CoreFixture f = new();
        _ = f.Add();
        using IommufdContext context = new();
        VfioDeviceFile file = f.Open();
        byte[] bytes = Bind(argsz, 0, 5);
        bytes[^1] = tail;
        Assert.Equal(expected, file.Ioctl(VfioUapi.VFIO_DEVICE_BIND_IOMMUFD, new UserArgument(bytes, Files(context))).Error);
        Assert.Equal(expected == Errno.None ? 1u : 0u, BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(12)));
    }

    [Theory]
    [InlineData(2u, 5, Errno.EINVAL)]
    [InlineData(0u, -1, Errno.EINVAL)]
    [InlineData(0u, 999, Errno.EBADF)]
    [InlineData(0u, 6, Errno.EBADFD)]
    public async Task Case085_bind_wrong_flags_and_descriptors(uint flags, int fd, Errno expected)
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Add();
        using IommufdContext context = new();
        VfioDeviceFile file = f.Open();
        Assert.Equal(expected, file.Ioctl(VfioUapi.VFIO_DEVICE_BIND_IOMMUFD, new UserArgument(Bind(24, flags, fd), Files(context))).Error);
        Assert.Empty(device.Calls);
    }

    [Fact]
    public async Task Case086_087_one_bound_file_a_device()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Add();
        using IommufdContext context = new();
        VfioDeviceFile first = f.OpenBound(context: context);
        VfioDeviceFile second = f.Open();
        device.Forget();
        Assert.Equal(Errno.EINVAL, first.Bind(context, out _));
        Assert.Equal(Errno.EINVAL, second.Bind(context, out _));
        Assert.Empty(device.Calls);
        first.Dispose();
        Assert.Equal(Errno.None, second.Bind(context, out _));
        Assert.Equal(1, device.OpenCount);
    }

    [Fact]
    public async Task Case090_091_tokens()
    {
        await using CoreFixture f = new();
        _ = f.Add("plain");
        RecordingDevice device = f.Add("token", static () => new RecordingDevice { Token = true, TokenResult = Errno.EACCES });
        using IommufdContext context = new();
        Guid token = Guid.NewGuid();
        Assert.Equal(Errno.EINVAL, f.Open("plain").Bind(context, out _, token));
        VfioDeviceFile file = f.Open("token");
        Assert.Equal(Errno.EACCES, file.Bind(context, out _));
        Assert.Equal(Errno.EACCES, file.Bind(context, out _, token));
        Assert.Equal(["token null", $"token {token}"], device.Calls);
        device.TokenResult = Errno.None;
        Assert.Equal(Errno.None, file.Bind(context, out _, token));
    }

    [Fact]
    public async Task Case092_bad_token_pointer_is_EFAULT_before_anything_is_called()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Add("token", static () => new RecordingDevice { Token = true });
        using IommufdContext context = new();
        TestUserMemory memory = new(64);
        Bind(24, 1, 5).CopyTo(memory.Bytes, 0);
        BinaryPrimitives.WriteUInt64LittleEndian(memory.Bytes.AsSpan(16), 0xdead);
        Assert.Equal(Errno.EFAULT, f.Open("token").Ioctl(VfioUapi.VFIO_DEVICE_BIND_IOMMUFD, new UserArgument(memory, TestUserMemory.Base, Files(context))).Error);
        Assert.Empty(device.Calls);
    }

    [Fact]
    public async Task Case093_failing_open_unbinds_and_frees_the_device()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Add();
        device.OpenResult = Errno.ENODEV;
        using IommufdContext context = new();
        VfioDeviceFile file = f.Open();
        Assert.Equal(Errno.ENODEV, file.Bind(context, out _));
        Assert.Equal(["bind", "open", "unbind"], device.Calls);
        Assert.Equal(0, device.Group!.BoundFiles);
        f.OpenGroup(device).Dispose();
        device.OpenResult = Errno.None;
        Assert.Equal(Errno.None, file.Bind(context, out _));
    }

    [Fact]
    public async Task Case094_unwritable_device_id_undoes_everything()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Add();
        using IommufdContext context = new();
        TestUserMemory memory = new(24, writable: 8);
        Bind(24, 0, 5).CopyTo(memory.Bytes, 0);
        VfioDeviceFile file = f.Open();
        Assert.Equal(Errno.EFAULT, file.Ioctl(VfioUapi.VFIO_DEVICE_BIND_IOMMUFD, new UserArgument(memory, TestUserMemory.Base, Files(context))).Error);
        Assert.Equal(["bind", "open", "close", "unbind"], device.Calls);
        Assert.Equal(Errno.None, file.Bind(context, out _));
    }

    [Fact]
    public async Task Case095_noiommu_device_needs_the_capability()
    {
        await using CoreFixture f = new(CallerCapabilities.None, noIommu: true);
        _ = f.Host.RegisterGroupDevice(f.Host.Allocate(static () => new PlainDevice()), new DeviceParent("p"));
        Assert.Equal(Errno.EPERM, f.Host.TryOpenDevice("p", out _));
        f.Capabilities = CallerCapabilities.RawIo;
        Assert.Equal(Errno.None, f.Host.TryOpenDevice("p", out VfioDeviceFile? file));
        file!.Dispose();
    }

    [Fact]
    public async Task Case096_attach_sizes_and_flags()
    {
        await using CoreFixture f = new();
        _ = f.Add();
        using IommufdContext context = new();
        Assert.Equal(Errno.None, context.AllocateIoas(out Ioas? ioas));
        VfioDeviceFile file = f.OpenBound(context: context);
        Assert.Equal(Errno.EINVAL, Attach(file, 16, 2, ioas!.Id, 0));
        Assert.Equal(Errno.EINVAL, Attach(file, 11, 0, ioas.Id, 0));
        Assert.Equal(Errno.None, Attach(file, 12, 0, ioas.Id, 0));
    }

    [Fact]
    public async Task Case097_pasid_without_the_ops_is_EOPNOTSUPP()
    {
        await using CoreFixture f = new();
        _ = f.Add();
        VfioDeviceFile file = f.OpenBound();
        Assert.Equal(Errno.EOPNOTSUPP, Attach(file, 16, 1, 1, 7));
        Assert.Equal(Errno.EOPNOTSUPP, Detach(file, 12, 1, 7));
    }

    [Fact]
    public async Task Case098_pasid_with_the_ops_needs_the_field()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Add(create: static () => new RecordingDevice { Pasid = true });
        VfioDeviceFile file = f.OpenBound();
        device.Forget();
        Assert.Equal(Errno.EINVAL, Attach(file, 12, 1, 1, 7));
        Assert.Equal(Errno.None, Attach(file, 16, 1, 1, 7));
        Assert.Equal(Errno.EINVAL, Detach(file, 8, 1, 7));
        Assert.Equal(Errno.None, Detach(file, 12, 1, 7));
        Assert.Equal(["pasid_attach 7", "pasid_detach 7"], device.Calls);
    }

    [Fact]
    public async Task Case099_detach_of_nothing_succeeds()
    {
        await using CoreFixture f = new();
        _ = f.Add();
        Assert.Equal(Errno.None, Detach(f.OpenBound(), 8, 0, 0));
    }

    [Fact]
    public async Task Case100_attach_unknown_then_one_then_another()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Add(create: static () => new RecordingDevice { Pins = true });
        using IommufdContext context = new();
        Assert.Equal(Errno.None, context.AllocateIoas(out Ioas? a));
        Assert.Equal(Errno.None, context.AllocateIoas(out Ioas? b));
        VfioDeviceFile file = f.OpenBound(context: context);
        Assert.Equal(Errno.ENOENT, Attach(file, 12, 0, 99, 0));
        Assert.Equal(Errno.None, Attach(file, 12, 0, a!.Id, 0));
        device.Forget();
        Assert.Equal(Errno.None, Attach(file, 12, 0, b!.Id, 0));
        Assert.Equal(["attach", "dma_unmap 0 ffffffffffffffff"], device.Calls);
        Assert.Equal(Errno.None, context.Destroy(a.Id));
    }

    [Fact]
    public async Task Case102_close_closes_and_unbinds_without_detach()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Add();
        using IommufdContext context = new();
        Assert.Equal(Errno.None, context.AllocateIoas(out Ioas? ioas));
        VfioDeviceFile file = f.OpenBound(context: context);
        Assert.Equal(Errno.None, Attach(file, 12, 0, ioas!.Id, 0));
        device.Forget();
        file.Dispose();
        file.Dispose();
        Assert.Equal(["close", "unbind"], device.Calls);
        Assert.Equal(0, device.OpenCount);
        Assert.Equal(1, context.ObjectCount);
    }

    [Fact]
    public async Task Case082_absent_ops_answer_as_the_kernel_does()
    {
        await using CoreFixture f = new();
        _ = f.Host.RegisterEmulatedIommuDevice(f.Host.Allocate(static () => new PlainDevice()), "plain");
        VfioDeviceFile file = f.OpenBound("plain");
        Assert.Equal(Errno.EINVAL, file.Read(new byte[4], 0).Error);
        Assert.Equal(Errno.EINVAL, file.Write(new byte[4], 0).Error);
        Assert.Equal(Errno.EINVAL, file.Map(new MapRequest(0, 4096, MemoryProtection.Read), out _));
        Assert.Equal(Errno.EINVAL, file.Ioctl(0x3B70, default).Error);
        Assert.Equal(Errno.EINVAL, file.Ioctl(VfioUapi.VFIO_DEVICE_GET_REGION_INFO, new UserArgument(new byte[32])).Error);
        Assert.Equal(Errno.ENOTTY, Feature(file, 77 | VfioUapi.VFIO_DEVICE_FEATURE_GET, 8).Error);
    }

    [Fact]
    public async Task Case123_124_125_region_capabilities()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Add();
        VfioDeviceFile file = f.OpenBound();
        device.AddCapabilities = static chain => chain.Add(1, 1, new byte[8]);
        Assert.Equal(Errno.EINVAL, RegionInfo(file, 31, out _).Error);
        Assert.Equal(Errno.None, RegionInfo(file, 32, out byte[] info).Error);
        Assert.Equal((48u, 0u), (U32(info, 0), U32(info, 12)));
        Assert.Equal(8u, U32(info, 4) & 8);
        Assert.Equal(Errno.None, RegionInfo(file, 48, out info).Error);
        Assert.Equal((32u, 0u), (U32(info, 12), U32(info, 36)));

        device.AddCapabilities = static chain =>
        {
            chain.Add(1, 1, []);
            chain.Add(2, 1, new byte[4]);
        };
        Assert.Equal(Errno.None, RegionInfo(file, 100, out info).Error);
        Assert.Equal((100u, 32u, 40u, 0u), (U32(info, 0), U32(info, 12), U32(info, 36), U32(info, 44)));

        device.AddCapabilities = null;
        Assert.Equal(Errno.None, RegionInfo(file, 77, out info).Error);
        Assert.Equal(77u, U32(info, 0));
        Assert.Equal(Errno.None, RegionInfo(file, 32, out info, capOffset: 7).Error);
        Assert.Equal((7u, 0u), (U32(info, 12), U32(info, 4) & 8));
    }

    [Fact]
    public async Task Case126_failing_region_leaves_the_structure_alone()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.Add();
        VfioDeviceFile file = f.OpenBound();
        device.RegionResult = Errno.EINVAL;
        device.AddCapabilities = static chain => chain.Add(1, 1, new byte[8]);
        Assert.Equal(Errno.EINVAL, RegionInfo(file, 64, out byte[] info, capOffset: 7).Error);
        Assert.Equal((64u, 7u), (U32(info, 0), U32(info, 12)));
    }

    [Fact]
    public async Task Case250_opens_race_with_unregister()
    {
        for (int round = 0; round < 50; round++)
        {
            await using CoreFixture f = new();
            RecordingDevice device = f.Host.Allocate(static () => new RecordingDevice());
            VfioRegistration registration = f.Host.RegisterEmulatedIommuDevice(device, "d0");
            Task users = Task.WhenAll(Enumerable.Range(0, 2).Select(_ => Task.Run(() =>
            {
                while (f.Host.TryOpenDevice("d0", out VfioDeviceFile? file) == Errno.None)
                {
                    using IommufdContext context = new();
                    file!.Bind(context, out uint deviceId);
                    Assert.True(deviceId <= 1);
                    file.Dispose();
                }
            })));
            await Task.Delay(2, TestContext.Current.CancellationToken);
            await registration.UnregisterAsync(TestContext.Current.CancellationToken).WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
            int calls = device.Calls.Count;
            await users;
            Assert.Equal(calls, device.Calls.Count);
            Assert.Equal(device.Calls.Count(static call => call == "open"), device.Calls.Count(static call => call == "close"));
        }
    }

    [Fact]
    public async Task Case251_one_of_eight_binds_wins()
    {
        await using CoreFixture f = new();
        _ = f.Add();
        for (int round = 0; round < 50; round++)
        {
            VfioDeviceFile[] files = [.. Enumerable.Range(0, 8).Select(_ => f.Open())];
            Errno[] results = await Task.WhenAll(files.Select(static file => Task.Run(() => file.Bind(new IommufdContext(), out _))));
            Assert.Equal(1, results.Count(static result => result == Errno.None));
            Assert.Equal(7, results.Count(static result => result == Errno.EINVAL));
            Array.ForEach(files, static file => file.Dispose());
        }
    }

    [Fact]
    public async Task Case256_open_holds_the_lock_of_its_set_only()
    {
        await using CoreFixture f = new();
        using ManualResetEventSlim opening = new();
        using ManualResetEventSlim proceed = new();
        RecordingDevice slow = f.Host.Allocate(() => new RecordingDevice
        {
            Opening = () =>
            {
                opening.Set();
                proceed.Wait();
            },
        });
        RecordingDevice sibling = f.Host.Allocate(static () => new RecordingDevice());
        Assert.Equal(Errno.None, slow.AssignSet("bus"));
        Assert.Equal(Errno.None, sibling.AssignSet("bus"));
        _ = f.Host.RegisterEmulatedIommuDevice(slow, "slow");
        _ = f.Host.RegisterEmulatedIommuDevice(sibling, "sibling");
        _ = f.Add("other");
        Task first = Task.Run(() => f.OpenBound("slow"), TestContext.Current.CancellationToken);
        opening.Wait(TestContext.Current.CancellationToken);
        VfioDeviceFile siblingFile = f.Open("sibling");
        Task<Errno> second = Task.Run(() => siblingFile.Bind(new IommufdContext(), out _), TestContext.Current.CancellationToken);
        _ = f.OpenBound("other");
        await Task.Delay(30, TestContext.Current.CancellationToken);
        Assert.False(second.IsCompleted);
        proceed.Set();
        await first;
        Assert.Equal(Errno.None, await second);
    }

    private static byte[] Bind(int argsz, uint flags, int fd)
    {
        byte[] bytes = new byte[Math.Max(argsz, 24)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)argsz);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), flags);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(8), fd);
        return bytes;
    }

    private static TestFileTable Files(IommufdContext context) => new() { Files = { [5] = context, [6] = "a pipe" } };

    private static Errno Attach(VfioDeviceFile file, uint argsz, uint flags, uint ptId, uint pasid)
    {
        byte[] bytes = new byte[16];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, argsz);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), flags);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), ptId);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(12), pasid);
        return file.Ioctl(VfioUapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT, new UserArgument(bytes)).Error;
    }

    private static Errno Detach(VfioDeviceFile file, uint argsz, uint flags, uint pasid)
    {
        byte[] bytes = new byte[12];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, argsz);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), flags);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), pasid);
        return file.Ioctl(VfioUapi.VFIO_DEVICE_DETACH_IOMMUFD_PT, new UserArgument(bytes)).Error;
    }

    private static IoResult Feature(VfioDeviceFile file, uint flags, int data)
    {
        byte[] bytes = new byte[8 + data];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)bytes.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), flags);
        return file.Ioctl(VfioUapi.VFIO_DEVICE_FEATURE, new UserArgument(bytes));
    }

    private static IoResult RegionInfo(VfioDeviceFile file, uint argsz, out byte[] info, uint capOffset = 0)
    {
        info = new byte[Math.Max(argsz, 32)];
        BinaryPrimitives.WriteUInt32LittleEndian(info, argsz);
        BinaryPrimitives.WriteUInt32LittleEndian(info.AsSpan(12), capOffset);
        return file.Ioctl(VfioUapi.VFIO_DEVICE_GET_REGION_INFO, new UserArgument(info));
    }

    private static uint U32(byte[] bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at));
}

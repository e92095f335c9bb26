using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Pci.Tests;

/// <summary>Doorbells of the device, and IOEVENTFD: vfio-core cases 153 to 155.</summary>
public sealed class DoorbellTests
{
    private readonly BlockingCollection<(int Bell, ulong? Value)> _rings = [];

    private PciRig Device() => new(pci => pci
        .Bar(0, new CallbackRegisters("m", 0x100).Add(0x10, () => 5, v => _rings.Add((9, v))).Add(0x20, () => 0, v => _rings.Add((8, v))), 0x1000)
        .Bar(2, 0x1000, PciBarKind.Memory32, false)
        .Msix(4, 2)
        .Doorbell(0, 0x10, 4, v => _rings.Add((1, v)), dataMatch: 7)
        .Doorbell(0, 0x18, 4, v => _rings.Add((2, v)))
        .Doorbell(0, 0x1C, 0, v => _rings.Add((3, v))));

    [Fact]
    public async Task Plain_writes_ring_and_others_reach_the_register()
    {
        await using PciRig rig = Device();
        rig.Store(0, 0x10, 4, 7);
        rig.Store(0, 0x10, 4, 8);
        rig.Store(0, 0x18, 4, 9);
        rig.Store(0, 0x1C, 2, 10);
        Assert.Equal(5UL, rig.Load(0, 0x10, 4));
        Assert.Equal([(1, 7UL), (9, 8UL), (2, 9UL), (3, 10UL)], _rings.ToArray());
    }

    [Fact]
    public async Task Eventfds_ring_again_and_again()
    {
        await using PciRig rig = Device();
        IReadOnlyList<RegionDoorbell> bells = rig.File.GetDoorbells(0);
        Assert.Equal([(0x10UL, 4U, (ulong?)7), (0x18UL, 4U, null), (0x1CUL, 0U, null)], bells.Select(b => (b.Offset, b.Size, b.DataMatch)));
        Assert.Empty(rig.File.GetDoorbells(1));
        Assert.Empty(rig.File.GetDoorbells(100));
        Assert.Equal(Errno.None, EventFd.TryAdopt(bells[0].Descriptor.Duplicate(), out EventFd? matched));
        Assert.Equal(Errno.None, EventFd.TryAdopt(bells[1].Descriptor.Duplicate(), out EventFd? any));
        using (matched)
        using (any)
        {
            for (int i = 0; i < 3; i++)
            {
                matched!.Signal();
                Assert.True(_rings.TryTake(out (int Bell, ulong? Value) ring, 5000));
                Assert.Equal((1, 7UL), ring);
                any!.Signal();
                Assert.True(_rings.TryTake(out ring, 5000));
                Assert.Equal((2, null), ring);
            }
        }
    }

    [Theory]
    [InlineData(3u, 0, 0u, 0x20ul)]
    [InlineData(0x10u, 0, 0u, 0x20ul)]
    [InlineData(0u, 0, 0u, 0x20ul)]
    [InlineData(4u, -2, 0u, 0x20ul)]
    [InlineData(4u, 0, 7u, 0x20ul)]
    [InlineData(4u, 0, 1u, 0x20ul)]
    [InlineData(4u, 0, 2u, 0x20ul)]
    [InlineData(4u, 0, 0u, 0xFFEul)]
    [InlineData(4u, 0, 0u, 0x1000ul)]
    public async Task Case153_bad_ioeventfds_are_EINVAL(uint flags, int fd, uint region, ulong offset)
    {
        await using PciRig rig = Device();
        Assert.Equal(Errno.EINVAL, Set(rig, flags, fd, region, offset, 1).Error);
    }

    [Fact]
    public async Task Case154_one_key_has_one_eventfd()
    {
        await using PciRig rig = Device();
        Assert.Equal(Errno.EBADF, Set(rig, 4, 5, 0, 0x20, 1).Error);
        Assert.Equal(0, Set(rig, 4, 0, 0, 0x20, 1).Value);
        Assert.Equal(Errno.EEXIST, Set(rig, 4, 0, 0, 0x20, 1).Error);
        Assert.Equal(Errno.EEXIST, Set(rig, 4, 1, 0, 0x20, 1).Error);
        Assert.Equal(0, Set(rig, 4, -1, 0, 0x20, 1).Value);
        Assert.Equal(Errno.ENODEV, Set(rig, 4, -1, 0, 0x20, 1).Error);
    }

    [Fact]
    public async Task Case155_a_thousand_are_the_limit()
    {
        await using PciRig rig = Device();
        for (ulong i = 0; i < 1000; i++)
        {
            Assert.Equal(0, Set(rig, 4, 0, 0, 0x20, i).Value);
        }

        Assert.Equal(Errno.ENOSPC, Set(rig, 4, 0, 0, 0x20, 1000).Error);
        rig.Reopen();
        Assert.Equal(0, Set(rig, 4, 0, 0, 0x20, 1000).Value);
    }

    [Fact]
    public async Task Signalled_ioeventfd_writes_its_value()
    {
        await using PciRig rig = Device();
        EventFd eventFd = rig.NewEventFd();
        Assert.Equal(0, Set(rig, 4, 0, 0, 0x20, 0xABCD, eventFd).Value);
        for (int i = 0; i < 3; i++)
        {
            eventFd.Signal();
            Assert.True(_rings.TryTake(out (int Bell, ulong? Value) ring, 5000));
            Assert.Equal((8, 0xABCDUL), ring);
        }

        Assert.Equal(0, Set(rig, 4, -1, 0, 0x20, 0xABCD).Value);
        eventFd.Signal();
        Assert.False(_rings.TryTake(out _, 50));
    }

    [Fact]
    public async Task Ioeventfd_is_dropped_while_memory_decoding_is_off_and_its_structure_is_checked()
    {
        await using PciRig rig = new(pci => pci.EnforceDecode()
            .Bar(0, new CallbackRegisters("m", 0x100).Add(0x20, () => 0, v => _rings.Add((8, v))), 0x1000));
        EventFd eventFd = rig.NewEventFd();
        Assert.Equal(0, Set(rig, 4, 0, 0, 0x20, 0xABCD, eventFd).Value);
        eventFd.Signal();
        Assert.False(_rings.TryTake(out _, 50));
        rig.SetConfig(PciRegister.Command, (ulong)PciCommand.MemorySpace, 2);
        eventFd.Signal();
        Assert.True(_rings.TryTake(out (int Bell, ulong? Value) ring, 5000));
        Assert.Equal((8, 0xABCDUL), ring);

        byte[] request = new byte[32];
        request[0] = 27;
        Assert.Equal(Errno.EINVAL, rig.File.Ioctl(VfioUapi.VFIO_DEVICE_IOEVENTFD, new UserArgument(request)).Error);
        Assert.Equal(Errno.EFAULT, rig.File.Ioctl(VfioUapi.VFIO_DEVICE_IOEVENTFD, new UserArgument(request.AsSpan(0, 27))).Error);
    }

    private static IoResult Set(PciRig rig, uint flags, int fd, uint region, ulong offset, ulong data, EventFd? eventFd = null)
    {
        var request = new vfio_device_ioeventfd { argsz = 32, flags = flags, offset = PciLayout.Position(region, offset), data = data, fd = fd };
        return rig.File.Ioctl(VfioUapi.VFIO_DEVICE_IOEVENTFD, new UserArgument(MemoryMarshal.AsBytes(new Span<vfio_device_ioeventfd>(ref request)), new Files(eventFd ?? rig.NewEventFd())));
    }

    private sealed class Files(EventFd eventFd) : FileTable
    {
        public override Errno TryGet(int number, out object? file)
        {
            file = number is 0 or 1 ? eventFd.Descriptor : null;
            return file is null ? Errno.EBADF : Errno.None;
        }

        public override IoResult Install(object file) => Errno.EMFILE;

        public override void Remove(int number)
        {
        }
    }
}

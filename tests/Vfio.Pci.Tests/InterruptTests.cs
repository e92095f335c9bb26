using System.Buffers.Binary;
using Microsoft.Extensions.Time.Testing;
using Vfio.Abi;
using Vfio.Linux;
using Vfio.TestUtilities;

namespace Vfio.Pci.Tests;

/// <summary>SET_IRQS and IRQ info: spec vfio-core §5.9, §5.10 and cases 127 to 145.</summary>
public sealed class InterruptTests
{
    private const IrqSetFlags Trigger = IrqSetFlags.ActionTrigger;
    private const IrqSetFlags None = IrqSetFlags.DataNone;

    private static PciRig All() => new(pci => pci.Intx().PciExpress().Msi(8, maskable: true).Msix(4, bar: 2));

    [Theory]
    [InlineData(PciInterrupt.Intx, 1u, IrqInfoFlags.EventFd | IrqInfoFlags.Maskable | IrqInfoFlags.AutoMasked)]
    [InlineData(PciInterrupt.Msi, 8u, IrqInfoFlags.EventFd | IrqInfoFlags.NoResize)]
    [InlineData(PciInterrupt.Msix, 4u, IrqInfoFlags.EventFd)]
    [InlineData(PciInterrupt.Error, 1u, IrqInfoFlags.EventFd | IrqInfoFlags.NoResize)]
    [InlineData(PciInterrupt.Request, 1u, IrqInfoFlags.EventFd | IrqInfoFlags.NoResize)]
    public async Task IrqInfo_tells_counts_and_flags(PciInterrupt index, uint count, IrqInfoFlags flags)
    {
        await using PciRig rig = All();
        Assert.Equal(Errno.None, rig.File.GetIrqInfo((uint)index, out IrqInfo info));
        Assert.Equal((count, flags), (info.Count, info.Flags));
    }

    [Fact]
    public async Task IrqInfo_of_absent_kinds_counts_none_and_index_5_is_EINVAL()
    {
        await using PciRig rig = new(_ => { });
        for (uint index = 0; index < 3; index++)
        {
            Assert.Equal(Errno.None, rig.File.GetIrqInfo(index, out IrqInfo info));
            Assert.Equal(0U, info.Count);
        }

        var raw = new vfio_irq_info { argsz = 16, index = 5 };
        Assert.Equal(Errno.EINVAL, rig.Ioctl(VfioUapi.VFIO_DEVICE_GET_IRQ_INFO, ref raw).Error);
        raw = new vfio_irq_info { argsz = 15 };
        Assert.Equal(Errno.EINVAL, rig.Ioctl(VfioUapi.VFIO_DEVICE_GET_IRQ_INFO, ref raw).Error);
    }

    [Fact]
    public async Task Case127_device_info_writes_as_much_as_argsz_says()
    {
        await using PciRig rig = All();
        var info = new vfio_device_info { argsz = 15 };
        Assert.Equal(Errno.EINVAL, rig.Ioctl(VfioUapi.VFIO_DEVICE_GET_INFO, ref info).Error);

        info = new vfio_device_info { argsz = 16, cap_offset = 7 };
        Assert.Equal(0, rig.Ioctl(VfioUapi.VFIO_DEVICE_GET_INFO, ref info).Value);
        Assert.Equal((3U, 9U, 5U, 7U), (info.flags, info.num_regions, info.num_irqs, info.cap_offset));

        info = new vfio_device_info { argsz = 24, cap_offset = 7 };
        Assert.Equal(0, rig.Ioctl(VfioUapi.VFIO_DEVICE_GET_INFO, ref info).Value);
        Assert.Equal(0U, info.cap_offset);
    }

    [Theory]
    [InlineData(19u, 0x21u, 2u, 0u, 1u)]
    [InlineData(20u, 0x21u, 5u, 0u, 1u)]
    [InlineData(20u, 0x21u, 2u, 4u, 0u)]
    [InlineData(20u, 0x21u, 2u, 3u, 2u)]
    [InlineData(20u, 0x21u, 2u, 0u, 0xFFFFFFFFu)]
    [InlineData(20u, 0x21u, 2u, 3u, 0xFFFFFFFDu)]
    public async Task Case130_bad_ranges_are_EINVAL(uint argsz, uint flags, uint index, uint start, uint count)
    {
        await using PciRig rig = All();
        var request = new vfio_irq_set { argsz = argsz, flags = flags, index = index, start = start, count = count };
        Assert.Equal(Errno.EINVAL, rig.Ioctl(VfioUapi.VFIO_DEVICE_SET_IRQS, ref request).Error);
    }

    [Theory]
    [InlineData(0x61u)]
    [InlineData(0x20u)]
    [InlineData(0x23u)]
    [InlineData(0x80000021u)]
    public async Task Case131_bad_flags_are_EINVAL(uint flags)
    {
        await using PciRig rig = All();
        Assert.Equal(Errno.EINVAL, rig.SetIrqs(PciInterrupt.Msix, (IrqSetFlags)flags, 0, 1).Error);
    }

    [Fact]
    public async Task Case132_data_must_be_complete()
    {
        await using PciRig rig = All();
        Assert.Equal(Errno.EINVAL, rig.SetIrqs(PciInterrupt.Msix, IrqSetFlags.DataEventFd | Trigger, 0, 2, new byte[7]).Error);
        byte[] data = [255, 255, 255, 255, 255, 255, 255, 255];
        Assert.Equal(0, rig.SetIrqs(PciInterrupt.Msix, IrqSetFlags.DataEventFd | Trigger, 0, 2, data).Value);
        Assert.Equal(InterruptMode.Msix, rig.Interrupts.Mode);
    }

    [Fact]
    public async Task Data_that_cannot_be_read_is_EFAULT_and_changes_nothing()
    {
        await using PciRig rig = All();
        byte[] argument = new byte[24];
        BinaryPrimitives.WriteUInt32LittleEndian(argument, 28);
        BinaryPrimitives.WriteUInt32LittleEndian(argument.AsSpan(4), (uint)(IrqSetFlags.DataEventFd | Trigger));
        BinaryPrimitives.WriteUInt32LittleEndian(argument.AsSpan(8), 2);
        BinaryPrimitives.WriteUInt32LittleEndian(argument.AsSpan(16), 2);
        argument.AsSpan(20).Fill(0xFF);

        Assert.Equal(Errno.EFAULT, rig.File.Ioctl(VfioUapi.VFIO_DEVICE_SET_IRQS, new UserArgument(argument)).Error);
        Assert.Equal(InterruptMode.None, rig.Interrupts.Mode);
    }

    [Fact]
    public async Task Case134_intx_off_refuses()
    {
        await using PciRig rig = All();
        Assert.Equal(Errno.EINVAL, rig.SetIrqs(PciInterrupt.Intx, Trigger | None, 0, 0).Error);
        Assert.Equal(Errno.EINVAL, rig.SetIrqs(PciInterrupt.Intx, Trigger | None, 0, 1).Error);
        Assert.Equal(Errno.EINVAL, rig.SetIrqs(PciInterrupt.Intx, IrqSetFlags.ActionMask | None, 0, 1).Error);
        Assert.Equal(Errno.EINVAL, rig.SetIrqs(PciInterrupt.Intx, IrqSetFlags.ActionUnmask | None, 0, 1).Error);
    }

    [Fact]
    public async Task Case135_intx_can_be_enabled_without_trigger()
    {
        await using PciRig rig = All();
        Assert.Equal(0, rig.SetEventFds(PciInterrupt.Intx, 0, (EventFd?)null).Value);
        Assert.Equal(InterruptMode.Intx, rig.Interrupts.Mode);
        Assert.Equal(0, rig.SetIrqs(PciInterrupt.Intx, Trigger | None, 0, 1).Value);

        EventFd late = rig.NewEventFd();
        Assert.Equal(0, rig.SetEventFds(PciInterrupt.Intx, 0, late).Value);
        Assert.Equal(0, rig.SetIrqs(PciInterrupt.Intx, Trigger | None, 0, 1).Value);
        Assert.Equal(1UL, late.Take());
    }

    [Fact]
    public async Task Case136_intx_is_masked_by_delivery_and_comes_again_while_asserted()
    {
        await using PciRig rig = All();
        EventFd pin = rig.Enable(PciInterrupt.Intx, 1)[0];

        rig.Interrupts.SetIntx(true);
        rig.Interrupts.SetIntx(false);
        rig.Interrupts.SetIntx(true);
        Assert.Equal(1UL, pin.Take());

        Assert.Equal(0, rig.SetIrqs(PciInterrupt.Intx, IrqSetFlags.ActionUnmask | None, 0, 1).Value);
        Assert.Equal(1UL, pin.Take());
        rig.Interrupts.SetIntx(false);
        Assert.Equal(0, rig.SetIrqs(PciInterrupt.Intx, IrqSetFlags.ActionUnmask | None, 0, 1).Value);
        Assert.Equal(0UL, pin.Take());
    }

    [Fact]
    public async Task Intx_pulse_that_comes_while_masked_is_delivered_once_at_unmask()
    {
        await using PciRig rig = All();
        EventFd pin = rig.Enable(PciInterrupt.Intx, 1)[0];

        Assert.Equal(InterruptDelivery.Delivered, rig.Interrupts.Signal(3));
        Assert.Equal(InterruptDelivery.Pending, rig.Interrupts.Signal(0));
        Assert.Equal(InterruptDelivery.Pending, rig.Interrupts.Signal(0));
        Assert.Equal(1UL, pin.Take());
        rig.SetIrqs(PciInterrupt.Intx, IrqSetFlags.ActionUnmask | IrqSetFlags.DataBool, 0, 1, [0]);
        Assert.Equal(0UL, pin.Take());
        rig.SetIrqs(PciInterrupt.Intx, IrqSetFlags.ActionUnmask | IrqSetFlags.DataBool, 0, 1, [1]);
        Assert.Equal(1UL, pin.Take());
        rig.SetIrqs(PciInterrupt.Intx, IrqSetFlags.ActionUnmask | None, 0, 1);
        Assert.Equal(0UL, pin.Take());
    }

    [Fact]
    public async Task Intx_mask_holds_back_and_command_disable_too()
    {
        await using PciRig rig = All();
        EventFd pin = rig.Enable(PciInterrupt.Intx, 1)[0];

        Assert.Equal(0, rig.SetIrqs(PciInterrupt.Intx, IrqSetFlags.ActionMask | None, 0, 1).Value);
        rig.Interrupts.SetIntx(true);
        Assert.Equal(0UL, pin.Take());
        Assert.Equal(8U, rig.Config(PciRegister.Status, 2) & 8);
        rig.SetConfig(PciRegister.Command, (ulong)PciCommand.InterruptDisable, 2);
        rig.SetIrqs(PciInterrupt.Intx, IrqSetFlags.ActionUnmask | None, 0, 1);
        Assert.Equal(0UL, pin.Take());
        Assert.Equal(0, rig.SetIrqs(PciInterrupt.Intx, Trigger | None, 0, 1).Value);
        Assert.Equal(0UL, pin.Take());
        rig.SetConfig(PciRegister.Command, 0, 2);
        Assert.Equal(1UL, pin.Take());
    }

    [Fact]
    public async Task Intx_asserted_before_it_is_enabled_is_delivered()
    {
        await using PciRig rig = All();
        rig.Interrupts.SetIntx(true);
        Assert.Equal(1UL, rig.Enable(PciInterrupt.Intx, 1)[0].Take());
    }

    [Fact]
    public async Task Case137_unmask_eventfd()
    {
        await using PciRig rig = All();
        EventFd pin = rig.Enable(PciInterrupt.Intx, 1)[0];
        EventFd unmask = rig.NewEventFd();
        Assert.Equal(Errno.ENOTTY, rig.File.SetIrqEventFds(0, IrqSetFlags.ActionMask, 0, [unmask.Descriptor]).Error);
        Assert.Equal(0, rig.File.SetIrqEventFds(0, IrqSetFlags.ActionUnmask, 0, [unmask.Descriptor]).Value);
        Assert.Equal(Errno.EBUSY, rig.File.SetIrqEventFds(0, IrqSetFlags.ActionUnmask, 0, [unmask.Descriptor]).Error);

        rig.Interrupts.SetIntx(true);
        Assert.Equal(1UL, pin.Take());
        unmask.Signal();
        Assert.Equal(1UL, pin.TakeSoon());
        unmask.Signal();
        Assert.Equal(1UL, pin.TakeSoon());

        Assert.Equal(0, rig.File.SetIrqEventFds(0, IrqSetFlags.ActionUnmask, 0, [null]).Value);
        unmask.Signal();
        Assert.False(pin.Wait(50));
    }

    [Fact]
    public async Task Case138_one_type_at_a_time()
    {
        await using PciRig rig = All();
        rig.Enable(PciInterrupt.Intx, 1);
        EventFd message = rig.NewEventFd();
        Assert.Equal(Errno.EINVAL, rig.SetEventFds(PciInterrupt.Msi, 0, message).Error);
        Assert.Equal(Errno.EINVAL, rig.SetIrqs(PciInterrupt.Msi, Trigger | None, 0, 0).Error);
        Assert.Equal(0, rig.SetIrqs(PciInterrupt.Intx, Trigger | None, 0, 0).Value);
        Assert.Equal(0, rig.SetEventFds(PciInterrupt.Msi, 0, message).Value);
        Assert.Equal(Errno.EINVAL, rig.SetEventFds(PciInterrupt.Intx, 0, message).Error);
        Assert.Equal(Errno.EINVAL, rig.SetEventFds(PciInterrupt.Msix, 0, message).Error);
    }

    [Fact]
    public async Task Case139_fewer_vectors_than_asked_enable_nothing()
    {
        await using PciRig rig = All();
        rig.Interrupts.VectorLimit = 2;
        Assert.Equal(2, rig.SetEventFds(PciInterrupt.Msi, 0, rig.NewEventFd(), rig.NewEventFd(), rig.NewEventFd(), rig.NewEventFd()).Value);
        Assert.Equal(InterruptMode.None, rig.Interrupts.Mode);
        rig.Enable(PciInterrupt.Msi, 2);
    }

    [Fact]
    public async Task Case140_failure_clears_the_touched_range_only()
    {
        await using PciRig rig = All();
        EventFd[] vectors = rig.Enable(PciInterrupt.Msix, 4);
        using FileDescriptor closed = new(-1, ownsHandle: false);
        byte[] data = [0, 0, 0, 0, 99, 0, 0, 0];
        var files = new OneFile(rig.NewEventFd().Descriptor);

        Assert.Equal(Errno.EBADF, rig.File.SetIrqs(2, IrqSetFlags.DataEventFd | Trigger, 1, 2, data, files).Error);

        for (int i = 0; i < 4; i++)
        {
            rig.Interrupts.Signal(i);
        }

        Assert.Equal([1UL, 0UL, 0UL, 1UL], vectors.Select(v => v.Take()));
        Assert.Equal(InterruptMode.Msix, rig.Interrupts.Mode);
    }

    [Fact]
    public async Task Failure_while_enabling_disables_the_type()
    {
        await using PciRig rig = All();
        using var memory = new MemFd("not an eventfd", 4096);
        Assert.Equal(Errno.EINVAL, rig.File.SetIrqEventFds(2, Trigger, 0, [rig.NewEventFd().Descriptor, memory.Descriptor]).Error);
        Assert.Equal(InterruptMode.None, rig.Interrupts.Mode);
        Assert.Equal(0U, rig.Config(rig.FindCapability(0x11) + 2, 2) & 0x8000);
    }

    [Fact]
    public async Task Case141_messages_cannot_be_masked_and_the_action_must_be_one()
    {
        await using PciRig rig = All();
        rig.Enable(PciInterrupt.Msi, 1);
        Assert.Equal(Errno.ENOTTY, rig.SetIrqs(PciInterrupt.Msi, IrqSetFlags.ActionMask | None, 0, 1).Error);
        Assert.Equal(Errno.ENOTTY, rig.SetIrqs(PciInterrupt.Msi, IrqSetFlags.ActionUnmask | None, 0, 1).Error);
        Assert.Equal(Errno.ENOTTY, rig.SetIrqs(PciInterrupt.Msi, IrqSetFlags.ActionMask | Trigger | None, 0, 1).Error);
        Assert.Equal(Errno.ENOTTY, rig.SetIrqs(PciInterrupt.Msi, None, 0, 1).Error);
    }

    [Theory]
    [InlineData(PciInterrupt.Error)]
    [InlineData(PciInterrupt.Request)]
    public async Task Case142_notices(PciInterrupt index)
    {
        await using PciRig rig = All();
        EventFd notice = rig.NewEventFd();
        Assert.Equal(Errno.EINVAL, rig.SetIrqs(index, Trigger | None, 0, 1).Error);
        Assert.Equal(0, rig.SetEventFds(index, 0, notice).Value);
        Assert.Equal(0, rig.SetIrqs(index, Trigger | None, 0, 1).Value);
        Assert.Equal(1UL, notice.Take());
        Assert.Equal(0, rig.SetIrqs(index, Trigger | IrqSetFlags.DataBool, 0, 1, [0]).Value);
        Assert.Equal(0UL, notice.Take());
        Assert.Equal(Errno.EINVAL, rig.SetIrqs(index, Trigger | IrqSetFlags.DataEventFd, 0, 1, [0xFE, 0xFF, 0xFF, 0xFF]).Error);
        Assert.Equal(Errno.ENOTTY, rig.SetIrqs(index, IrqSetFlags.ActionMask | None, 0, 1).Error);
        Assert.Equal(0, rig.SetIrqs(index, Trigger | None, 0, 0).Value);
        Assert.Equal(Errno.EINVAL, rig.SetIrqs(index, Trigger | None, 0, 0).Error);
    }

    [Fact]
    public async Task Error_is_raised_to_whoever_asked()
    {
        await using PciRig rig = All();
        Assert.False(rig.Interrupts.RaiseError());
        EventFd error = rig.NewEventFd();
        rig.SetEventFds(PciInterrupt.Error, 0, error);
        Assert.True(rig.Interrupts.RaiseError());
        Assert.Equal(1UL, error.Take());
    }

    [Fact]
    public async Task Case143_unregistering_raises_request_each_turn()
    {
        FakeTimeProvider clock = new();
        await using PciRig rig = new(pci => pci.Intx(), new VfioHostOptions { TimeProvider = clock });
        EventFd request = rig.NewEventFd();
        rig.SetEventFds(PciInterrupt.Request, 0, request);

        ValueTask unregister = rig.Host.DisposeAsync();
        Assert.Equal(1UL, request.Take());
        foreach (int seconds in new[] { 9, 1, 10, 5 })
        {
            clock.Advance(TimeSpan.FromSeconds(seconds));
            Assert.Equal(seconds is 1 or 10 ? 1UL : 0, seconds is 1 or 10 ? request.TakeSoon() : request.Take());
        }

        Assert.False(unregister.IsCompleted);
        rig.File.Dispose();
        await unregister;
        Assert.Equal(0UL, request.Take());
        Assert.Equal(1, rig.Device.Closed);
    }

    [Fact]
    public async Task Case144_last_close_takes_everything_away()
    {
        await using PciRig rig = All();
        EventFd[] vectors = rig.Enable(PciInterrupt.Msix, 4);
        EventFd error = rig.NewEventFd();
        rig.SetEventFds(PciInterrupt.Error, 0, error);
        int msix = rig.FindCapability(0x11);
        Assert.Equal(0x8000U, rig.Config(msix + 2, 2) & 0x8000);

        rig.Reopen();

        Assert.Equal(InterruptMode.None, rig.Interrupts.Mode);
        Assert.Equal(InterruptDelivery.Lost, rig.Interrupts.Signal(0));
        Assert.False(rig.Interrupts.RaiseError());
        Assert.Equal(0U, rig.Config(msix + 2, 2) & 0xC000);
        Assert.Equal(Errno.EINVAL, rig.SetIrqs(PciInterrupt.Error, Trigger | None, 0, 1).Error);
        Assert.All(vectors, v => Assert.Equal(0UL, v.Take()));
        Assert.Contains(ResetKind.LostClient, rig.Device.Resets);
    }

    [Fact]
    public async Task Case145_unmask_eventfd_that_is_signalled_already_acts_at_once_and_keeps_its_counter()
    {
        await using PciRig rig = All();
        EventFd pin = rig.Enable(PciInterrupt.Intx, 1)[0];
        rig.Interrupts.SetIntx(true);
        Assert.Equal(1UL, pin.Take());
        EventFd unmask = rig.NewEventFd();
        unmask.Signal(5);

        Assert.Equal(0, rig.File.SetIrqEventFds(0, IrqSetFlags.ActionUnmask, 0, [unmask.Descriptor]).Value);

        Assert.Equal(1UL, pin.TakeSoon());
        Assert.Equal(5UL, unmask.Take());
    }

    [Fact]
    public async Task Msi_with_fewer_vectors_than_the_device_has_shares_them()
    {
        await using PciRig rig = All();
        EventFd[] vectors = rig.Enable(PciInterrupt.Msi, 2);
        rig.Interrupts.Signal(5);
        rig.Interrupts.Signal(4);
        Assert.Equal([1UL, 1UL], vectors.Select(v => v.Take()));
    }

    [Fact]
    public async Task Msi_masks_keep_interrupts_pending()
    {
        await using PciRig rig = All();
        EventFd[] vectors = rig.Enable(PciInterrupt.Msi, 8);
        int msi = rig.FindCapability(0x05);
        rig.SetConfig(msi + 0x10, 0x04);

        Assert.Equal(InterruptDelivery.Pending, rig.Interrupts.Signal(2));
        Assert.Equal(InterruptDelivery.Delivered, rig.Interrupts.Signal(3));
        Assert.Equal(4U, rig.Config(msi + 0x14));
        rig.SetConfig(msi + 0x10, 0, 1);

        Assert.Equal(0U, rig.Config(msi + 0x14));
        Assert.Equal(1UL, vectors[2].Take());
        Assert.Equal(1UL, vectors[3].Take());
    }

    [Fact]
    public async Task Vectors_may_be_set_in_several_requests()
    {
        await using PciRig rig = All();
        EventFd[] vectors = [.. Enumerable.Range(0, 8).Select(_ => rig.NewEventFd())];
        for (uint i = 0; i < 8; i += 2)
        {
            Assert.Equal(0, rig.SetEventFds(PciInterrupt.Msi, i, vectors[i], vectors[i + 1]).Value);
        }

        for (int i = 0; i < 8; i++)
        {
            rig.Interrupts.Signal(i);
        }

        Assert.All(vectors, v => Assert.Equal(1UL, v.Take()));
    }

    [Fact]
    public async Task Trigger_by_hand_signals_the_asked_vectors()
    {
        await using PciRig rig = All();
        EventFd[] vectors = rig.Enable(PciInterrupt.Msix, 4);
        Assert.Equal(0, rig.SetIrqs(PciInterrupt.Msix, Trigger | None, 1, 2).Value);
        Assert.Equal(0, rig.SetIrqs(PciInterrupt.Msix, Trigger | IrqSetFlags.DataBool, 0, 4, [1, 0, 0, 2]).Value);
        Assert.Equal([1UL, 1UL, 1UL, 1UL], vectors.Select(v => v.Take()));
    }

    [Fact]
    public async Task Deassigning_a_range_in_the_middle_takes_away_exactly_that()
    {
        await using PciRig rig = All();
        EventFd[] vectors = rig.Enable(PciInterrupt.Msix, 4);
        Assert.Equal(0, rig.SetEventFds(PciInterrupt.Msix, 2, (EventFd?)null).Value);
        Assert.Equal(InterruptDelivery.Pending, rig.Interrupts.Signal(2));
        Assert.Equal(InterruptDelivery.Delivered, rig.Interrupts.Signal(3));
        Assert.Equal(0UL, vectors[2].Take());
    }

    [Fact]
    public async Task A_pipe_instead_of_an_eventfd_is_refused_everywhere()
    {
        await using PciRig rig = All();
        using var memory = new MemFd("no eventfd", 4096);
        foreach (PciInterrupt index in Enum.GetValues<PciInterrupt>())
        {
            Assert.Equal(Errno.EINVAL, rig.File.SetIrqEventFds((uint)index, Trigger, 0, [memory.Descriptor]).Error);
            Assert.Equal(Errno.EBADF, rig.SetIrqs(index, Trigger | IrqSetFlags.DataEventFd, 0, 1, [3, 0, 0, 0]).Error);
        }
    }

    [Fact]
    public async Task Eventfds_are_ours_and_released()
    {
        using var guard = new DescriptorLeakGuard();
        await using PciRig rig = All();
        var mine = new EventFd();
        Assert.Equal(0, rig.SetEventFds(PciInterrupt.Msix, 0, mine, mine).Value);
        using EventFd copy = Duplicate(mine);
        mine.Dispose();
        rig.Interrupts.Signal(1);
        Assert.Equal(1UL, copy.Take());
        Assert.Equal(0, rig.SetIrqs(PciInterrupt.Msix, Trigger | None, 0, 0).Value);
    }

    [Fact]
    public async Task Signalling_allocates_nothing()
    {
        await using PciRig rig = All();
        EventFd[] vectors = rig.Enable(PciInterrupt.Msix, 4);
        long bytes = AllocationMeter.Measure(() => rig.Interrupts.Signal(1));
        Assert.Equal(0, bytes);
        Assert.NotEqual(0UL, vectors[1].Take());
    }

    private static EventFd Duplicate(EventFd eventFd)
    {
        Assert.Equal(Errno.None, EventFd.TryAdopt(eventFd.Descriptor.Duplicate(), out EventFd? copy));
        return copy!;
    }

    private sealed class OneFile(FileDescriptor descriptor) : FileTable
    {
        public override Errno TryGet(int number, out object? file)
        {
            file = number == 0 ? descriptor : null;
            return file is null ? Errno.EBADF : Errno.None;
        }

        public override IoResult Install(object file) => Errno.EMFILE;

        public override void Remove(int number)
        {
        }
    }
}

using System.Diagnostics;
using System.IO.Pipes;
using Vfio.Abi;
using Vfio.Linux;
using Vfio.Pci;
using Vfio.Testing;
using Vfio.TestUtilities;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Conformance;

/// <summary>Cases 39 to 46: SET_IRQS.</summary>
public sealed class InterruptCases : ConformanceTest
{
    private const IrqSetFlags None = IrqSetFlags.DataNone;
    private const IrqSetFlags Bool = IrqSetFlags.DataBool;
    private const IrqSetFlags Fd = IrqSetFlags.DataEventFd;
    private const IrqSetFlags Mask = IrqSetFlags.ActionMask;
    private const IrqSetFlags Unmask = IrqSetFlags.ActionUnmask;
    private const IrqSetFlags Trigger = IrqSetFlags.ActionTrigger;
    private const uint Intx = (uint)PciInterrupt.Intx;
    private const uint Msi = (uint)PciInterrupt.Msi;
    private const uint Msix = (uint)PciInterrupt.Msix;
    private const uint Err = (uint)PciInterrupt.Error;
    private const uint Req = (uint)PciInterrupt.Request;

    public static TheoryData<uint, IrqSetFlags, uint, uint, int, int> Bad => new()
    {
        { 5, None | Trigger, 0, 1, 0, 0 },
        { Msix, None | Mask | Unmask, 0, 1, 0, 0 },
        { Msix, None | Bool | Trigger, 0, 1, 0, 0 },
        { Msix, None, 0, 1, 0, 0 },
        { Msix, Trigger, 0, 1, 0, 0 },
        { Msix, Fd | Trigger, 2047, 2, 0, 0 },
        { Msix, Fd | Trigger, 2048, 1, 0, 0 },
        { Msix, Fd | Trigger, 2049, 1, 0, 0 },
        { Msix, Fd | Trigger, 1, uint.MaxValue, 0, 0 },
        { Msix, Fd | Trigger, uint.MaxValue, uint.MaxValue, 0, 0 },
        { Err, None | Mask, 0, 1, 0, 0 },
        { Req, None | Mask, 0, 1, 0, 0 },
        { Err, None | Trigger, 0, 2, 0, 0 },
        { Req, None | Trigger, 0, 2, 0, 0 },
        { Msix, None | Trigger, 1, 0, 0, 0 },
        { Msix, None | Mask, 0, 0, 0, 0 },
        { Msix, Bool | Trigger, 0, 0, 0, 0 },
        { Msix, Bool | Trigger, 0, 1, 1, 1 },
        { Msix, None | Trigger, 0, 1, 0, 1 },
        { Msix, Fd | Trigger, 0, 2, 0, 1 },
        { Msix, Bool | Trigger, 0, 2, 1, 0 },
        { Msix, Bool | Trigger, 0, 2, 3, 0 },
    };

    [Theory]
    [MemberData(nameof(Bad))]
    public void Case039_set_irqs_matrix(uint index, IrqSetFlags flags, uint start, uint count, int data, int descriptors)
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        using EventFd eventFd = new();
        FileDescriptor[] fds = [.. Enumerable.Repeat(eventFd.Descriptor, descriptors)];
        Assert.Equal(Errno.EINVAL, client.SetIrqs(index, flags, start, count, new byte[data], fds));
        AssertAlive(client);
    }

    [Fact]
    public void Case039_set_irqs_argsz()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.DeviceSetIrqs, Bytes(new vfio_irq_set { argsz = 3, flags = (uint)(None | Trigger), index = Msix, count = 1 })));
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.DeviceSetIrqs, new byte[8]));
    }

    [Fact]
    public void Case040_taking_one_vector_away_leaves_the_others()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using Events events = new(4);
        Assert.Equal(Errno.None, client.SetIrqs(Msix, Fd | Trigger, 0, 4, default, events.Descriptors));
        Assert.Equal(Errno.None, client.SetIrqs(Msix, Fd | Trigger, 2, 1));
        for (int i = 0; i < 4; i++)
        {
            Assert.Equal(i == 2 ? InterruptDelivery.Pending : InterruptDelivery.Delivered, pair.Device.Interrupts.Signal(i));
        }

        Assert.Equal([1, 1, 0, 1], events.Take());
    }

    [Fact]
    public void Case041_sixteen_vectors_and_their_replacement()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using Events old = new(16);
        using Events events = new(16);
        Assert.Equal(Errno.None, client.SetIrqs(Msix, Fd | Trigger, 16, 16, default, old.Descriptors));
        int before = CountDescriptors();
        Assert.Equal(Errno.None, client.SetIrqs(Msix, Fd | Trigger, 16, 16, default, events.Descriptors));
        Assert.InRange(CountDescriptors(), 0, before);
        for (int i = 0; i < 48; i++)
        {
            _ = pair.Device.Interrupts.Signal(i);
        }

        Assert.All(events.Take(), static count => Assert.Equal(1UL, count));
        Assert.All(old.Take(), static count => Assert.Equal(0UL, count));
    }

    [Fact]
    public void Case041_253_vectors_in_one_message()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using Events events = new(DescriptorList.Capacity);
        Assert.Equal(Errno.None, client.SetIrqs(Msix, Fd | Trigger, 1000, (uint)events.Descriptors.Length, default, events.Descriptors));
        Assert.Equal(InterruptDelivery.Delivered, pair.Device.Interrupts.Signal(1252));
        Assert.Equal(1UL, events.Take()[252]);
    }

    [Fact]
    public void Case042_disabling_what_is_not_there_succeeds()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        for (uint index = 0; index < 5; index++)
        {
            Assert.Equal(Errno.None, client.SetIrqs(index, None | Trigger, 0, 0));
        }
    }

    [Fact]
    public void Case043_bool_triggers_what_it_names()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        using Events events = new(2);
        Assert.Equal(Errno.None, client.SetIrqs(Msix, Fd | Trigger, 0, 2, default, events.Descriptors));
        Assert.Equal(Errno.None, client.SetIrqs(Msix, Bool | Trigger, 0, 2, [0, 1]));
        Assert.Equal([0, 1], events.Take());
        Assert.Equal(Errno.None, client.SetIrqs(Msix, None | Trigger, 0, 1));
        Assert.Equal([1, 0], events.Take());
    }

    [Fact]
    public void Case044_message_interrupts_leave_the_pin_alone()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using Events pin = new(1);
        using Events messages = new(2);
        Assert.Equal(Errno.None, client.SetIrqs(Intx, Fd | Trigger, 0, 1, default, pin.Descriptors));
        Assert.Equal(Errno.None, client.SetIrqs(Msix, Fd | Trigger, 0, 2, default, messages.Descriptors));
        Assert.Equal(InterruptMode.Msix, pair.Device.Interrupts.Mode);
        _ = pair.Device.Interrupts.Signal(1);
        Assert.Equal([0, 1], messages.Take());
        Assert.Equal([0], pin.Take());

        // What is asked of the pin meanwhile is no error, and the level comes through when it is back.
        pair.Device.Interrupts.SetIntx(true);
        Assert.Equal(Errno.None, client.SetIrqs(Intx, None | Unmask, 0, 1));
        Assert.Equal([0], pin.Take());
        Assert.Equal(Errno.None, client.SetIrqs(Msix, None | Trigger, 0, 0));
        Assert.Equal(InterruptMode.Intx, pair.Device.Interrupts.Mode);
        Assert.Equal([1], pin.Take());
        Assert.Equal([0, 0], messages.Take());
    }

    [Fact]
    public void Case044_pin_set_up_while_messages_are_on_is_used_afterwards()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using Events pin = new(2);
        using Events messages = new(1);
        Assert.Equal(Errno.None, client.SetIrqs(Msix, Fd | Trigger, 0, 1, default, messages.Descriptors));
        Assert.Equal(Errno.None, client.SetIrqs(Intx, Fd | Trigger, 0, 1, default, pin.Descriptors[0]));
        Assert.Equal(Errno.None, client.SetIrqs(Intx, Fd | Unmask, 0, 1, default, pin.Descriptors[1]));
        Assert.Equal(InterruptDelivery.Delivered, pair.Device.Interrupts.Signal(0));
        Assert.Equal(Errno.None, client.SetIrqs(Msix, None | Trigger, 0, 0));
        pair.Device.Interrupts.SetIntx(true);
        Assert.Equal(1UL, pin.Take(0));
        pin.Signal(1);
        WaitFor(() => pin.Take(0) == 1);
        Assert.Equal(Errno.None, client.SetIrqs(Intx, None | Trigger, 0, 0));
        Assert.Equal(InterruptMode.None, pair.Device.Interrupts.Mode);
    }

    [Fact]
    public void Case044_a_pin_that_was_taken_away_does_not_come_back()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using Events pin = new(1);
        using Events messages = new(1);
        Assert.Equal(Errno.None, client.SetIrqs(Intx, Fd | Trigger, 0, 1, default, pin.Descriptors));
        Assert.Equal(Errno.None, client.SetIrqs(Msix, Fd | Trigger, 0, 1, default, messages.Descriptors));
        Assert.Equal(Errno.None, client.SetIrqs(Intx, None | Trigger, 0, 0));
        Assert.Equal(InterruptMode.Msix, pair.Device.Interrupts.Mode);
        Assert.Equal(Errno.None, client.SetIrqs(Msix, None | Trigger, 0, 0));
        Assert.Equal(InterruptMode.None, pair.Device.Interrupts.Mode);
    }

    [Fact]
    public void Case045_what_is_no_eventfd_is_refused()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        using AnonymousPipeServerStream pipe = new(PipeDirection.Out);
        using FileDescriptor writer = new((int)pipe.SafePipeHandle.DangerousGetHandle(), ownsHandle: false);
        using MemFd memory = Memory();
        foreach (uint index in new[] { Intx, Msix, Err, Req })
        {
            Assert.Equal(Errno.EINVAL, client.SetIrqs(index, Fd | Trigger, 0, 1, default, writer));
            Assert.Equal(Errno.EINVAL, client.SetIrqs(index, Fd | Trigger, 0, 1, default, memory.Descriptor));
            Assert.Equal(Errno.EINVAL, client.SetIrqs(index, Fd | Trigger, 0, 1, default, client.Socket.Descriptor));
        }

        AssertAlive(client);
    }

    [Fact]
    public void Case045_full_counter_does_not_block_the_trigger()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using Events events = new(1);
        Assert.Equal(Errno.None, events.Signal(0, ulong.MaxValue - 1));
        Assert.Equal(Errno.None, client.SetIrqs(Msix, Fd | Trigger, 0, 1, default, events.Descriptors));
        long started = Stopwatch.GetTimestamp();
        Assert.Equal(InterruptDelivery.Delivered, pair.Device.Interrupts.Signal(0));
        Assert.Equal(Errno.None, client.SetIrqs(Msix, None | Trigger, 0, 1));
        Assert.InRange(Stopwatch.GetElapsedTime(started).TotalSeconds, 0, 30);
    }

    /// <summary>As libvfio-user's client does, which waits for its interrupt in a read.</summary>
    [Fact]
    public void Case045_blocking_eventfd_stays_so_and_its_full_counter_does_not_block()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using FileDescriptor eventFd = BlockingEventFd.Create();
        Assert.Equal(Errno.None, client.SetIrqs(Msix, Fd | Trigger, 0, 1, default, eventFd));
        Assert.Equal(InterruptDelivery.Delivered, pair.Device.Interrupts.Signal(0));
        Assert.Equal(Errno.None, eventFd.TryGetNonBlocking(out bool isNonBlocking));
        Assert.False(isNonBlocking);

        Assert.Equal(8, eventFd.Write(BitConverter.GetBytes(ulong.MaxValue - 2)).Value);
        long started = Stopwatch.GetTimestamp();
        Assert.Equal(InterruptDelivery.Delivered, pair.Device.Interrupts.Signal(0));
        Assert.Equal(Errno.None, client.SetIrqs(Msix, None | Trigger, 0, 1));
        Assert.InRange(Stopwatch.GetElapsedTime(started).TotalSeconds, 0, 30);
    }

    /// <summary>The peer fills the counter and takes the non-blocking mode away, then goes: whoever signals must not stay in the write.</summary>
    [Fact]
    public void Threat31_eventfd_that_is_filled_and_made_blocking_costs_its_device_a_moment_and_the_next_client_nothing()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using (RawVfioUserClient client = pair.ConnectRaw())
        using (Events events = new(1))
        {
            Assert.Equal(Errno.None, client.SetIrqs(Msix, Fd | Trigger, 0, 1, default, events.Descriptors));
            Assert.Equal(Errno.None, events.Signal(0, ulong.MaxValue - 1));
            BlockingEventFd.SetMode(events.Descriptors[0], isBlocking: true);

            // The connection's own thread writes, so that nobody of the server sees the client go.
            client.Send(VfioUserCommand.DeviceSetIrqs, VfioUserFlags.NoReply, Bytes(new vfio_irq_set { argsz = 20, flags = (uint)(None | Trigger), index = Msix, start = 0, count = 1 }));
        }

        WaitFor(() => !pair.Server!.HasClient);
        using RawVfioUserClient next = pair.ConnectRaw();
        using Events good = new(1);
        Assert.Equal(Errno.None, next.SetIrqs(Msix, Fd | Trigger, 0, 1, default, good.Descriptors));
        Assert.Equal(InterruptDelivery.Delivered, pair.Device.Interrupts.Signal(0));
        Assert.Equal(1UL, good.Take(0));
    }

    [Fact]
    public void Case046_level_is_delivered_again_after_the_unmask_eventfd()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using Events events = new(2);
        Assert.Equal(Errno.None, client.SetIrqs(Intx, Fd | Trigger, 0, 1, default, events.Descriptors[0]));
        Assert.Equal(Errno.None, client.SetIrqs(Intx, None | Mask, 0, 1));
        Assert.Equal(Errno.None, client.SetIrqs(Intx, Fd | Unmask, 0, 1, default, events.Descriptors[1]));
        Assert.Equal(Errno.None, client.SetIrqs(Intx, None | Unmask, 0, 1));
        pair.Device.Interrupts.SetIntx(true);
        Assert.Equal(1UL, events.Take(0));
        for (int i = 0; i < 3; i++)
        {
            events.Signal(1);
            ulong count = 0;
            WaitFor(() => (count = events.Take(0)) != 0);
            Assert.Equal(1UL, count);
        }

        pair.Device.Interrupts.SetIntx(false);
        events.Signal(1);
        Thread.Sleep(20);
        Assert.Equal(0UL, events.Take(0));

        // The same by message.
        pair.Device.Interrupts.SetIntx(true);
        Assert.Equal(1UL, events.Take(0));
        Assert.Equal(Errno.None, client.SetIrqs(Intx, None | Unmask, 0, 1));
        Assert.Equal(1UL, events.Take(0));
    }

    private sealed class Events(int count) : IDisposable
    {
        private readonly EventFd[] _events = [.. Enumerable.Range(0, count).Select(static _ => new EventFd())];

        public FileDescriptor[] Descriptors => [.. _events.Select(static e => e.Descriptor)];

        public ulong[] Take() => [.. _events.Select(static e => e.TryConsume(out ulong value) ? value : 0)];

        /// <summary>One alone: an unmask eventfd must not be emptied before the device saw it.</summary>
        public ulong Take(int index) => _events[index].TryConsume(out ulong value) ? value : 0;

        public Errno Signal(int index, ulong value = 1) => _events[index].Signal(value);

        public void Dispose() => Array.ForEach(_events, static e => e.Dispose());
    }
}

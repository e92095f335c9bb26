using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Vfio.Abi;
using Vfio.Linux;
using Vfio.Linux.Tests;
using Vfio.Pci;
using Vfio.Testing;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Conformance;

/// <summary>Threat 10: a process without free descriptors.</summary>
public sealed class ShortageCases : ConformanceTest
{
    [Fact]
    public void Threat10_connection_that_cannot_be_accepted_waits_and_the_loop_does_not_spin()
    {
        CountingLoggers logs = new();
        DevicePair<ConformanceDevice> pair = Own(DevicePair.Serve(
            static () => new ConformanceDevice(), new DevicePairOptions { Host = new VfioHostOptions { LoggerFactory = logs } }));

        // Once before: the runtime loads the assemblies that a connection needs, for which it needs descriptors, and remembers a failure.
        using (RawVfioUserClient first = pair.ConnectRaw("{}"))
        {
            AssertAlive(first);
        }

        WaitFor(() => !pair.Server!.HasClient);
        RawVfioUserClient client;
        using (DescriptorLimit.LeaveRoomFor(1))
        {
            client = RawVfioUserClient.Connect(pair.SocketPath);
            Assert.True(SpinWait.SpinUntil(() => logs.Count > 0, Patience));
            Thread.Sleep(Short);
        }

        using (client)
        {
            AssertOk(client.Negotiate("{}"));
            AssertAlive(client);
        }

        Assert.InRange(logs.Count, 1, 5);
    }

    [Fact]
    public void Threat10_message_whose_descriptor_cannot_be_opened_is_EMFILE()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using MemFd memory = Memory();
        Errno error;
        List<FileDescriptor> fillers = [];
        using (DescriptorLimit.LeaveRoomFor(1))
        {
            while (memory.Descriptor.TryDuplicate(out FileDescriptor? filler) == Errno.None)
            {
                fillers.Add(filler!);
            }

            error = client.MapDma(0, 4096, memory.Descriptor);
        }

        fillers.ForEach(static filler => filler.Dispose());

        Assert.Equal(Errno.EMFILE, error);
        Assert.Equal(Errno.None, client.MapDma(0, 4096, memory.Descriptor));
    }

    [Fact]
    public void Threat10_interrupt_whose_descriptor_cannot_be_opened_is_EMFILE()
    {
        const IrqSetFlags Trigger = IrqSetFlags.DataEventFd | IrqSetFlags.ActionTrigger;
        DevicePair<ConformanceDevice> pair = Serve();
        using RawVfioUserClient client = pair.ConnectRaw();
        using EventFd first = new();
        using EventFd second = new();
        Assert.Equal(Errno.None, client.SetIrqs(2, Trigger, 0, 1, default, first.Descriptor));
        Errno error;
        using (DescriptorLimit.LeaveRoomFor(1))
        {
            // Room for the first of them only: it is closed, and nothing is half done.
            error = client.SetIrqs(2, Trigger, 0, 3, default, second.Descriptor, second.Descriptor, second.Descriptor);
            Assert.Equal(InterruptDelivery.Delivered, pair.Device.Interrupts.Signal(0));
        }

        Assert.Equal(Errno.EMFILE, error);
        Assert.True(first.Wait((int)Patience.TotalMilliseconds));
        Assert.NotEqual(InterruptDelivery.Delivered, pair.Device.Interrupts.Signal(1));
        Assert.Equal(Errno.None, client.SetIrqs(2, Trigger, 0, 3, default, second.Descriptor, second.Descriptor, second.Descriptor));
        Assert.Equal(InterruptDelivery.Delivered, pair.Device.Interrupts.Signal(2));
    }

    /// <summary>Counts the lines of the server that say that a connection could not be accepted.</summary>
    private sealed class CountingLoggers : ILoggerFactory, ILogger
    {
        private int _count;

        public int Count => Volatile.Read(ref _count);

        public ILogger CreateLogger(string categoryName) => categoryName == "Vfio.User.Server" ? this : NullLogger.Instance;

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (eventId.Id == 3103)
            {
                Interlocked.Increment(ref _count);
            }
        }

        public void Dispose()
        {
        }
    }
}

using System.CommandLine;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Vfio.Devices.Edu;
using Vfio.Devices.Serial;
using Vfio.Drivers.Edu;
using Vfio.Kernel;
using Vfio.Linux;
using Vfio.Tool.Devices;
using Vfio.User;

namespace Vfio.Tool.Commands;

/// <summary><c>vfio demo</c>: the main job in a few seconds, without a virtual machine or privileges.</summary>
internal static class DemoCommand
{
    public static Command Create()
    {
        Option<string?> address = new("--address") { Description = "Only drive the edu at this address: kernel:FUNCTION, unix:PATH or local:edu" };
        Option<KernelPath?> path = new("--kernel-path") { Description = "The way to a kernel: address: cdev, groupType1 or groupIommufd; the first that there is when not given" };
        Option<PciInterrupt?> interrupt = new("--interrupt") { Description = "With --address, the kind of interrupt: intx or msi; the better one that there is when not given" };
        Option<bool> noIommu = new("--unsafe-no-iommu") { Description = "Accept a device without an IOMMU, which can overwrite all memory" };
        Command command = new("demo", "Drive devices that are C# classes by a C# driver, in this process and over a vfio-user socket.") { address, path, interrupt, noIommu };
        command.SetAction((result, cancellationToken) => result.GetValue(address) is { } given
            ? DriveOneAsync(given, new KernelOptions { Path = result.GetValue(path), AllowUnsafeNoIommu = result.GetValue(noIommu) }, result.GetValue(interrupt), cancellationToken)
            : RunAsync(cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        string folder = Directory.CreateTempSubdirectory("vfio-demo-").FullName;
        string socket = Path.Combine(folder, "edu.sock");
        try
        {
            await using ToolHost host = new();
            VfioRegistration registration = host.Add("edu0", static () => new EduDevice());
            Say("Vfio.NET demo");
            Say(string.Empty);
            Say("1. A PCI device that is a C# class (devices/Edu/EduDevice.cs) is registered with the VFIO core in this process:");
            Say($"     name edu0, node /dev/vfio/devices/{registration.Device.NodeName}, group {registration.Device.Group?.NodeName} of type {registration.Device.Group?.Type}");

            VfioConnector connector = new(new LocalTransport(host.Host), new UnixTransport());
            Say(string.Empty);
            Say("2. A C# driver (drivers/Edu/EduDriver.cs) opens it in process and uses it through device file, iommufd and IOAS:");
            await DriveAsync(connector, "local:edu0", cancellationToken);

            Say(string.Empty);
            Say("3. The same device is served to vfio-user clients on a UNIX socket; the same driver reaches it there:");
            await using (VfioUserServer server = VfioUserServer.Listen(host.Host, "edu0", socket))
            {
                Say($"     listening {server.SocketPath}");
                await DriveAsync(connector, $"unix:{socket}", cancellationToken);
            }

            Say(string.Empty);
            Say("4. A serial card (devices/Serial) whose line ends in a loop-back plug, register by register over a socket:");
            await LoopBackAsync(Path.Combine(folder, "serial.sock"), cancellationToken);

            Say(string.Empty);
            Say("5. The first device is unregistered while a client has it open: the core asks for it back until the client lets go:");
            await UnregisterAsync(host, registration, connector, cancellationToken);

            Say(string.Empty);
            Say("All of it worked. Next:");
            Say("     ./vfio serve edu --socket-path /tmp/edu.sock      serve the device to QEMU or any vfio-user client");
            Say("     ./vfio info unix:/tmp/edu.sock                    look at it from another terminal");
            Say("     ./vfio vm --device edu --device serial            boot a Linux virtual machine with devices attached");
            return CommandLine.Success;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<int> DriveOneAsync(string address, KernelOptions kernel, PciInterrupt? interrupt, CancellationToken cancellationToken)
    {
        await using OpenedDevice device = await OpenedDevice.OpenAsync(address, cancellationToken, kernel);
        await DriveAsync(device.Connection, interrupt, cancellationToken);
        return CommandLine.Success;
    }

    private static async Task DriveAsync(VfioConnector connector, string address, CancellationToken cancellationToken)
        => await DriveAsync(await connector.ConnectAsync(address, cancellationToken), null, cancellationToken);

    private static async Task DriveAsync(VfioConnection connection, PciInterrupt? interrupt, CancellationToken cancellationToken)
    {
        long started = Stopwatch.GetTimestamp();
        await using EduDriver driver = EduDriver.Open(connection, interrupt);
        Say($"     {connection.Address}{(connection is KernelConnection kernel ? $" by {kernel.Path}" : string.Empty)}");
        Say($"       identified   edu version {driver.Version}, interrupts by {driver.InterruptKind}");
        Check(driver.CheckLiveness(0xDEADBEEF), "liveness", "wrote deadbeef, read 21524110: alive");
        if (connection.Regions[(int)PciRegion.Bar0].MappableAreas.Count > 0)
        {
            using MemoryMapping registers = connection.Map(PciRegion.Bar0, 0, 0x1000);
            uint identification = MemoryMarshal.Read<uint>(registers.Slice(0, sizeof(uint)));
            Check((identification & 0xFF) == 0xED, "mapped", $"BAR 0 in this process's memory: identification {identification:x8}");
        }

        uint factorial = await driver.ComputeFactorialAsync(10, cancellationToken);
        Check(factorial == 3_628_800, "factorial", $"10! = {factorial}, told by an interrupt");

        const int Length = EduDriver.BufferSize;
        using (DmaBuffer there = driver.AllocateDma(Length))
        using (DmaBuffer back = driver.AllocateDma(Length))
        {
            new Random(1).NextBytes(there.Span);
            await driver.CopyToDeviceAsync(there, Length, cancellationToken);
            await driver.CopyFromDeviceAsync(back, Length, cancellationToken);
            Check(there.Span.SequenceEqual(back.Span), "DMA", $"{Length} bytes to the device (iova 0x{there.Iova:x}) and back (iova 0x{back.Iova:x}): equal");
        }

        const int Rounds = 1000;
        long before = Stopwatch.GetTimestamp();
        for (uint i = 1; i <= Rounds; i++)
        {
            Check(await driver.RaiseInterruptAsync(i, cancellationToken) == i, null, $"interrupt {i}");
        }

        TimeSpan each = Stopwatch.GetElapsedTime(before) / Rounds;
        Say($"       interrupts   {Rounds} raised, delivered and acknowledged, {each.TotalMicroseconds:f1} µs each");
        Say($"       took         {Stopwatch.GetElapsedTime(started).TotalMilliseconds:f0} ms");
    }

    private static async Task LoopBackAsync(string socket, CancellationToken cancellationToken)
    {
        const ulong Data = 0;
        const ulong InterruptEnable = 1;
        const ulong FifoControl = 2;
        const ulong ModemControl = 4;
        const ulong LineStatus = 5;
        ReadOnlyMemory<byte> text = "hello, line"u8.ToArray();
        await using ToolHost host = new();
        _ = host.Add("serial0", static () => new SerialDevice(new SerialOptions { Backends = [static () => new LoopBackend()] }));
        await using VfioUserServer server = VfioUserServer.Listen(host.Host, "serial0", socket);
        await using VfioConnection card = await new VfioConnector(new UnixTransport()).ConnectAsync($"unix:{socket}", cancellationToken);
        using InterruptSet interrupts = card.EnableInterrupts(PciInterrupt.Intx);
        VfioRegion registers = card.Bar(0);

        // FIFO on, DTR, RTS and OUT2, interrupts for received bytes: what a driver does when its port is opened.
        registers.Write8(FifoControl, 0x01);
        registers.Write8(ModemControl, 0x0B);
        registers.Write8(InterruptEnable, 0x01);
        foreach (byte letter in text.Span)
        {
            registers.Write8(Data, letter);
        }

        byte[] received = new byte[text.Length];
        int count = 0;
        int told = 0;
        while (count < received.Length && interrupts[0].Wait(TimeSpan.FromSeconds(5)))
        {
            told++;
            while (count < received.Length && (registers.Read8(LineStatus) & 1) != 0)
            {
                received[count++] = registers.Read8(Data);
            }

            interrupts.Unmask();
        }

        Check(received.AsSpan().SequenceEqual(text.Span), "loop-back", $"sent '{Encoding.ASCII.GetString(text.Span)}', received '{Encoding.ASCII.GetString(received)}', told by {told} INTx interrupt{(told == 1 ? string.Empty : "s")}");
    }

    private static async Task UnregisterAsync(ToolHost host, VfioRegistration registration, VfioConnector connector, CancellationToken cancellationToken)
    {
        VfioConnection user = await connector.ConnectAsync("local:edu0", cancellationToken);
        InterruptSet requests = user.EnableInterrupts(PciInterrupt.Request);
        Task unregistered = registration.UnregisterAsync(cancellationToken);
        Check(requests[0].Wait(TimeSpan.FromSeconds(5)), "request", "the client got the REQ interrupt");
        Check(!unregistered.IsCompleted, "waiting", "unregister waits for it");
        requests.Dispose();
        await user.DisposeAsync();
        await unregistered.WaitAsync(TimeSpan.FromSeconds(5), cancellationToken);
        Check(host.Host.Devices.Count == 0, "gone", "the client closed; the device is withdrawn");
    }

    private static void Say(string line) => Console.WriteLine(line);

    private static void Check(bool held, string? step, string what)
    {
        if (!held)
        {
            throw new VfioException(Abi.Errno.EIO, $"show '{what}'", "The demo is broken: please report it.");
        }

        if (step is not null)
        {
            Say($"       {step,-12} {what}");
        }
    }
}

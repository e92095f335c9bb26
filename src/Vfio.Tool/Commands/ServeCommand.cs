using System.CommandLine;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Vfio.Iommu;
using Vfio.Tool.Devices;
using Vfio.Tool.Output;
using Vfio.Tool.Serving;
using Vfio.User;

namespace Vfio.Tool.Commands;

/// <summary><c>vfio serve</c>: offers devices to vfio-user clients until SIGTERM or SIGINT.</summary>
internal static class ServeCommand
{
    /// <summary>SIGXFSZ.</summary>
    private const int FileSizeExceeded = 25;

    public static Command Create()
    {
        Argument<string?> device = new("device") { Description = "The model, see 'vfio devices'", Arity = ArgumentArity.ZeroOrOne };
        Option<string?> path = new("--socket-path") { Description = "Where to listen", HelpName = "PATH" };
        Option<int> fd = CommonOptions.Number(
            "--fd", "Serve on an inherited socket, listening or connected, instead", null, "the number of an open descriptor", static value => value >= 0);
        Option<string[]> set = new("--set") { Description = "A setting of the model, KEY=VALUE", HelpName = "KEY=VALUE", AllowMultipleArgumentsPerToken = false };
        Option<FileInfo?> config = new("--config") { Description = "Serve the devices that this file describes; SIGHUP reads it again", HelpName = "FILE" };
        Option<SecondClientPolicy> second = CommonOptions.Choice(
            "--second-client", "What a client gets that connects while another is attached", SecondClientPolicy.Refuse);
        Option<int> busyPoll = CommonOptions.Number(
            "--busy-poll",
            "Microseconds to look for a client's next message before sleeping, at most (four times as many while messages keep coming): it halves a round trip and takes a processor meanwhile; 0 sleeps at once",
            (int)new VfioUserServerOptions().BusyPoll.TotalMicroseconds,
            "a number of microseconds from 0",
            static value => value >= 0);
        Option<DescriptorMemoryPolicy> memory = CommonOptions.Choice(
            "--client-memory",
            "How the client's memory is reached; 'trusted' maps what cannot be sealed too, and a client that shrinks it ends the server",
            DescriptorMemoryPolicy.Safe);
        Option<bool> sandbox = new("--sandbox") { Description = "Let this process reach only the files that the devices and sockets need, and no system calls but those of a server" };
        Option<LogLevel> level = CommonOptions.LogLevel();
        Command command = new("serve", "Serve a device to vfio-user clients such as QEMU. Prints 'listening PATH' when ready; ends at SIGTERM.")
        {
            device, path, fd, set, config, second, busyPoll, memory, sandbox, level,
        };
        command.SetAction(async result =>
        {
            VfioUserServerOptions options = new()
            {
                SecondClient = result.GetValue(second),
                BusyPoll = TimeSpan.FromMicroseconds(result.GetValue(busyPoll)),
                ClientMemory = result.GetValue(memory),
            };
            int? descriptor = result.GetResult(fd) is { Implicit: false } ? result.GetValue(fd) : null;
            string[] settings = result.GetValue(set) ?? [];
            if (result.GetValue(config) is not { } file)
            {
                ServedDevice only = ServedDevice.FromCommandLine(result.GetValue(device), result.GetValue(path), descriptor, settings);
                return await RunAsync(() => [only], null, result.GetValue(sandbox), options, result.GetValue(level));
            }

            return result.GetValue(device) is null && result.GetValue(path) is null && descriptor is null && settings.Length == 0
                ? await RunAsync(new HostConfiguration(file).Read, file, result.GetValue(sandbox), options, result.GetValue(level))
                : throw new UsageException("--config describes all devices; it goes with no model, --socket-path, --fd or --set.");
        });
        return command;
    }

    /// <param name="describe">Tells what is to be served; asked again at each SIGHUP.</param>
    /// <param name="configuration">The file that says it, which SIGHUP reads again; null when that ends the process.</param>
    /// <param name="isolated">Whether to enter the sandbox first.</param>
    private static async Task<int> RunAsync(
        Func<IReadOnlyList<ServedDevice>> describe, FileInfo? configuration, bool isolated, VfioUserServerOptions options, LogLevel level)
    {
        bool reloads = configuration is not null;
        IReadOnlyList<ServedDevice> wanted = describe();
        if (isolated)
        {
            ServerSandbox.Enter(wanted, configuration);
        }

        ServiceNotifier manager = new();
        using ILoggerFactory logger = ErrorLog.Create(level);
        await using ToolHost host = new(logger);
        await using DeviceHost devices = new(host, options);
        using Termination termination = new(reloads ? () => _ = ReloadAsync(describe, devices, manager) : null);

        // A write beyond the limit of a file's length is to be an error and no end.
        using PosixSignalRegistration files = PosixSignalRegistration.Create((PosixSignal)FileSizeExceeded, static context => context.Cancel = true);
        foreach (ServedDevice device in wanted)
        {
            await devices.AddAsync(device);
        }

        await Console.Out.FlushAsync();
        using ControlSocket? control = ControlSocket.TryOpen(host.Host.EventLoop, devices);
        manager.Ready();
        try
        {
            // Devices that come and go have no common end but the signal.
            await (reloads ? Task.Delay(Timeout.Infinite, termination.Token) : devices.Completion.WaitAsync(termination.Token));
        }
        catch (OperationCanceledException)
        {
            manager.Stopping();
        }

        return CommandLine.Success;
    }

    private static async Task ReloadAsync(Func<IReadOnlyList<ServedDevice>> describe, DeviceHost devices, ServiceNotifier manager)
    {
        manager.Reloading();
        try
        {
            await devices.ApplyAsync(describe());
        }
        catch (UsageException exception)
        {
            await Console.Error.WriteLineAsync($"vfio: nothing was changed: {exception.Message.ReplaceLineEndings(" ")}");
        }

        manager.Ready();
    }
}

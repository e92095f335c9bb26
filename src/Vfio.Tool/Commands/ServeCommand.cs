using System.CommandLine;
using Microsoft.Extensions.Logging;
using Vfio.Linux;
using Vfio.Tool.Devices;
using Vfio.Tool.Output;
using Vfio.User;

namespace Vfio.Tool.Commands;

/// <summary><c>vfio serve</c>: offers devices to vfio-user clients until SIGTERM or SIGINT.</summary>
internal static class ServeCommand
{
    public static Command Create()
    {
        Argument<string?> device = new("device") { Description = "The model, see 'vfio devices'", Arity = ArgumentArity.ZeroOrOne };
        Option<string?> path = new("--socket-path") { Description = "Where to listen", HelpName = "PATH" };
        Option<int> fd = CommonOptions.Number(
            "--fd", "Serve on an inherited socket, listening or connected, instead", null, "the number of an open descriptor", static value => value >= 0);
        Option<string[]> set = new("--set") { Description = "A setting of the model, KEY=VALUE", HelpName = "KEY=VALUE", AllowMultipleArgumentsPerToken = false };
        Option<FileInfo?> config = new("--config") { Description = "Serve the devices that this file describes", HelpName = "FILE" };
        Option<SecondClientPolicy> second = CommonOptions.Choice(
            "--second-client", "What a client gets that connects while another is attached", SecondClientPolicy.Refuse);
        Option<int> busyPoll = CommonOptions.Number(
            "--busy-poll",
            "Microseconds to look for a client's next message before sleeping, which halves a round trip and takes a processor",
            0,
            "a number of microseconds from 0",
            static value => value >= 0);
        Option<LogLevel> level = CommonOptions.LogLevel();
        Command command = new("serve", "Serve a device to vfio-user clients such as QEMU. Prints 'listening PATH' when ready; ends at SIGTERM.")
        {
            device, path, fd, set, config, second, busyPoll, level,
        };
        command.SetAction(async result =>
        {
            List<ServedDevice> devices = ServedDevice.FromCommandLine(
                result.GetValue(device),
                result.GetValue(path),
                result.GetResult(fd) is { Implicit: false } ? result.GetValue(fd) : null,
                result.GetValue(set) ?? [],
                result.GetValue(config));
            VfioUserServerOptions options = new()
            {
                SecondClient = result.GetValue(second),
                BusyPoll = TimeSpan.FromMicroseconds(result.GetValue(busyPoll)),
            };
            return await RunAsync(devices, options, result.GetValue(level));
        });
        return command;
    }

    private static async Task<int> RunAsync(List<ServedDevice> devices, VfioUserServerOptions options, LogLevel level)
    {
        using Termination termination = new();
        using ILoggerFactory logger = ErrorLog.Create(level);
        await using ToolHost host = new(logger);
        List<VfioUserServer> servers = [];
        try
        {
            foreach (ServedDevice device in devices)
            {
                string name = devices.Count == 1 ? device.Model : $"{device.Model}{servers.Count}";
                VfioRegistration registration = host.Add(name, device.Create);
                await DeviceCatalog.AnnounceAsync(device.Model, registration.Device);
                servers.Add(device.SocketPath is { } path
                    ? VfioUserServer.Listen(host.Host, name, path, options)
                    : VfioUserServer.Serve(host.Host, name, new FileDescriptor(device.Descriptor, ownsHandle: true), options));
                await Console.Out.WriteLineAsync($"listening {device.SocketPath ?? $"fd {device.Descriptor}"}");
            }

            await Console.Out.FlushAsync();
            await Task.WhenAll(servers.Select(static server => server.Completion)).WaitAsync(termination.Token);
            return CommandLine.Success;
        }
        catch (OperationCanceledException)
        {
            return CommandLine.Success;
        }
        finally
        {
            foreach (VfioUserServer server in servers)
            {
                await server.DisposeAsync();
            }
        }
    }
}

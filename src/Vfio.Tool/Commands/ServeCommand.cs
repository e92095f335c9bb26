using System.CommandLine;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Vfio.Linux;
using Vfio.Tool.Devices;
using Vfio.User;

namespace Vfio.Tool.Commands;

/// <summary><c>vfio serve</c>: offers devices to vfio-user clients until SIGTERM or SIGINT.</summary>
internal static class ServeCommand
{
    public static Command Create()
    {
        Argument<string?> device = new("device") { Description = "The model, see 'vfio devices'", Arity = ArgumentArity.ZeroOrOne };
        Option<string?> path = new("--socket-path") { Description = "Where to listen" };
        Option<int?> fd = new("--fd") { Description = "Serve on an inherited socket, listening or connected, instead" };
        Option<string[]> set = new("--set") { Description = "A setting of the model, KEY=VALUE", AllowMultipleArgumentsPerToken = false };
        Option<FileInfo?> config = new("--config") { Description = "Serve the devices that this file describes" };
        Option<SecondClientPolicy> second = new("--second-client")
        {
            Description = "What a client gets that connects while another is attached: refuse (the default) or wait",
            DefaultValueFactory = static _ => SecondClientPolicy.Refuse,
        };
        Option<LogLevel> level = new("--log-level")
        {
            Description = "Least severity that is logged to standard error",
            DefaultValueFactory = static _ => LogLevel.Warning,
        };
        Command command = new("serve", "Serve a device to vfio-user clients such as QEMU. Prints 'listening PATH' when ready; ends at SIGTERM.")
        {
            device, path, fd, set, config, second, level,
        };
        command.SetAction(async (result, cancellationToken) =>
        {
            List<ServedDevice> devices = ServedDevice.FromCommandLine(
                result.GetValue(device),
                result.GetValue(path),
                result.GetValue(fd),
                result.GetValue(set) ?? [],
                result.GetValue(config));
            VfioUserServerOptions options = new() { SecondClient = result.GetValue(second) };
            return await RunAsync(devices, options, result.GetValue(level));
        });
        return command;
    }

    private static async Task<int> RunAsync(List<ServedDevice> devices, VfioUserServerOptions options, LogLevel level)
    {
        TaskCompletionSource stop = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using ILoggerFactory logger = LoggerFactory.Create(builder => builder
            .SetMinimumLevel(level)
            .AddConsole(static console => console.LogToStandardErrorThreshold = LogLevel.Trace)
            .AddSimpleConsole(static console => console.SingleLine = true));
        await using ToolHost host = new(level == LogLevel.None ? null : logger);
        List<VfioUserServer> servers = [];
        try
        {
            foreach (ServedDevice device in devices)
            {
                string name = devices.Count == 1 ? device.Model : $"{device.Model}{servers.Count}";
                _ = host.Add(name, device.Create);
                servers.Add(device.SocketPath is { } path
                    ? VfioUserServer.Listen(host.Host, name, path, options)
                    : VfioUserServer.Serve(host.Host, name, new FileDescriptor(device.Descriptor, ownsHandle: true), options));
                await Console.Out.WriteLineAsync($"listening {device.SocketPath ?? $"fd {device.Descriptor}"}");
            }

            await Console.Out.FlushAsync();
            await Task.WhenAny(stop.Task, Task.WhenAll(servers.Select(static server => server.Completion)));
            return CommandLine.Success;
        }
        finally
        {
            foreach (VfioUserServer server in servers)
            {
                await server.DisposeAsync();
            }
        }

        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            stop.TrySetResult();
        }
    }
}

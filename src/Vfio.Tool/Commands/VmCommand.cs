using System.CommandLine;
using Microsoft.Extensions.Logging;
using Vfio.Tool.Devices;
using Vfio.Tool.Output;
using Vfio.Tool.Qemu;
using Vfio.User;

namespace Vfio.Tool.Commands;

/// <summary><c>vfio vm</c>: the test Linux in QEMU with devices of this process.</summary>
internal static class VmCommand
{
    /// <summary>The memory of a guest that has the tools for disks, in MiB.</summary>
    private const int MemoryWithTools = 512;

    public static Command Create()
    {
        Option<string[]> device = new("--device") { Description = "A model with its settings, NAME[,key=value…]; may be repeated", AllowMultipleArgumentsPerToken = false };
        Option<string[]> nvme = new("--nvme")
        {
            Description = "An NVMe disk in a file, FILE[,size=1G][,key=value…], made when a size is given; the guest then has ext4, e2fsprogs, nvme-cli and fio; may be repeated",
            AllowMultipleArgumentsPerToken = false,
        };
        string[] drivers = ["igb", "igbvf", "ioatdma", "idxd"];
        Option<string[]> driver = new("--driver")
        {
            Description = $"Boot Debian's kernel with this driver ({string.Join(", ", drivers)}), which the guest's own has not; may be repeated",
            AllowMultipleArgumentsPerToken = false,
        };
        driver.AcceptOnlyFromAmong(drivers);
        Option<GuestBoot> boot = new("--boot") { Description = "What starts the machine: QEMU with the guest's kernel, or firmware (bios, uefi) that boots the first disk" };
        Option<int> memory = CommonOptions.Number("--memory", "The guest's RAM in MiB, with --nvme at least 512", 256, "64 to 65536 (MiB)", static value => value is >= 64 and <= 65536);
        Option<bool> iommu = new("--iommu") { Description = "Give the machine an IOMMU, which the guest's own VFIO needs" };
        Option<FileInfo?> kernel = new("--kernel") { Description = "Another kernel than the one that eng/guest/setup.sh provides" };
        Option<string?> append = new("--append") { Description = "More kernel arguments" };
        Option<string?> line = new("--command") { Description = "Run this line of shell in the guest, print its output, power off and end with its exit status" };
        Option<LogLevel> level = CommonOptions.LogLevel();
        Argument<string[]> qemu = new("qemu") { Description = "More arguments for QEMU, behind --", Arity = ArgumentArity.ZeroOrMore };
        Command command = new("vm", "Boot a Linux virtual machine with devices of this process. Ctrl-C goes to the guest; 'exit' or Ctrl-A x ends the machine.")
        {
            device, nvme, driver, boot, memory, iommu, kernel, append, line, level, qemu,
        };
        command.SetAction(async result =>
        {
            List<(string Model, Func<VfioDevice> Create)> devices = [.. (result.GetValue(nvme) ?? []).Select(PrepareDisk), .. (result.GetValue(device) ?? []).Select(Prepare)];
            bool disks = result.GetResult(nvme) is not null;
            FileInfo? image = result.GetValue(kernel);
            if (image is { Exists: false })
            {
                throw new UsageException($"There is no kernel {image}.");
            }

            if (result.GetValue(boot) != GuestBoot.Kernel && (image is not null || result.GetValue(append) is not null))
            {
                throw new UsageException("--boot with firmware takes kernel and arguments from the disk; --kernel and --append are for the guest's own kernel.");
            }

            GuestOptions options = new()
            {
                Memory = disks ? Math.Max(result.GetValue(memory), MemoryWithTools) : result.GetValue(memory),
                DiskTools = disks || result.GetValue(boot) != GuestBoot.Kernel,
                Boot = result.GetValue(boot),
                // What the guest executes may come from the disk: see docs/adr/0407.
                SharedMemory = !disks,
                Drivers = result.GetValue(driver) ?? [],
                Iommu = result.GetValue(iommu),
                Kernel = image?.FullName,
                KernelArguments = result.GetValue(append) ?? string.Empty,
                Arguments = result.GetValue(qemu) ?? [],
            };
            return await RunAsync(devices, options, result.GetValue(line), result.GetValue(level));
        });
        return command;
    }

    private static (string Model, Func<VfioDevice> Create) Prepare(string text)
    {
        string[] parts = text.Split(',');
        if (parts.FirstOrDefault(static part => part.EndsWith("=stdio", StringComparison.Ordinal)) is { } setting)
        {
            throw new UsageException($"{setting}: the guest's console has standard input and output here; choose another end of the line, such as pty.");
        }

        return (parts[0], DeviceCatalog.Prepare(parts[0], parts[1..]));
    }

    private static (string Model, Func<VfioDevice> Create) PrepareDisk(string text, int index)
    {
        string[] parts = text.Split(',');
        if (parts[0].Length == 0)
        {
            throw new UsageException("--nvme wants the file of the disk, as in --nvme disk.img or --nvme disk.img,size=1G.");
        }

        if (!File.Exists(parts[0]) && !Array.Exists(parts, static part => part.StartsWith("size=", StringComparison.Ordinal)))
        {
            throw new UsageException($"There is no file '{parts[0]}'. To make it, give its size: --nvme {parts[0]},size=1G");
        }

        // Linux takes controllers with one serial number for two ways to the same subsystem.
        string[] serial = Array.Exists(parts, static part => part.StartsWith("serial=", StringComparison.Ordinal)) ? [] : [$"serial=VFIO{index + 1:d4}"];
        return ("nvme", DeviceCatalog.Prepare("nvme", [$"file={parts[0]}", .. parts[1..], .. serial]));
    }

    private static async Task<int> RunAsync(
        List<(string Model, Func<VfioDevice> Create)> devices, GuestOptions options, string? line, LogLevel level)
    {
        using Termination termination = new();
        try
        {
            await QemuInstallation.CompleteAsync(options, termination.Token);
            using ScratchFolder scratch = new();
            using ILoggerFactory logger = ErrorLog.Create(level);
            await using ToolHost host = new(logger);
            List<VfioUserServer> servers = [];
            try
            {
                for (int i = 0; i < devices.Count; i++)
                {
                    string name = $"{devices[i].Model}{i}";
                    VfioRegistration registration = host.Add(name, devices[i].Create);
                    await DeviceCatalog.AnnounceAsync(devices[i].Model, registration.Device);
                    servers.Add(VfioUserServer.Listen(host.Host, name, scratch.File($"{name}.sock")));
                }

                options = options with { Devices = [.. servers.Select(static server => QemuDevice.VfioUser(server.SocketPath!))] };
                return line is null
                    ? await GuestConsole.RunAsync(options, termination.Token)
                    : await RunLineAsync(options, line, termination.Token);
            }
            finally
            {
                foreach (VfioUserServer server in servers)
                {
                    await server.DisposeAsync();
                }
            }
        }
        catch (QemuException exception)
        {
            await Console.Error.WriteLineAsync($"vfio: {exception.Message}");
            return CommandLine.Failed;
        }
        catch (OperationCanceledException)
        {
            await Console.Error.WriteLineAsync("vfio: interrupted; the machine is off");
            return CommandLine.Failed;
        }
    }

    private static async Task<int> RunLineAsync(GuestOptions options, string line, CancellationToken cancellationToken)
    {
        await using GuestMachine guest = await GuestMachine.BootAsync(options, cancellationToken);
        GuestResult result = await guest.TryRunAsync(line, Timeout.InfiniteTimeSpan).WaitAsync(cancellationToken);
        if (result.Output.Length > 0)
        {
            await Console.Out.WriteLineAsync(result.Output);
        }

        return result.Status;
    }
}

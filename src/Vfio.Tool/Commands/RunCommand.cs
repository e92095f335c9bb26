using System.CommandLine;
using Microsoft.Extensions.Logging;
using Vfio.Iommu;
using Vfio.Iommu.Testing;
using Vfio.Run;
using Vfio.Tool.Devices;
using Vfio.Tool.Output;

namespace Vfio.Tool.Commands;

/// <summary><c>vfio run</c>: an unmodified program that uses VFIO, on devices of this process.</summary>
internal static class RunCommand
{
    public static Command Create()
    {
        Option<string[]> devices = new("--device")
        {
            Description = "A device that the program finds, and where it stands: a model, see 'vfio devices', or unix:SOCKET for one that is served; more of one model by more addresses",
            HelpName = "MODEL[,KEY=VALUE…]|unix:SOCKET[@ADDRESS]…",
            AllowMultipleArgumentsPerToken = false,
        };
        Option<FileInfo?> config = new("--config") { Description = "The devices that this file describes, as for 'vfio serve'", HelpName = "FILE" };
        Option<bool> trace = new("--trace") { Description = "Tell each call on VFIO, and why it failed, on standard error" };
        Option<FileInfo?> output = new("--trace-output") { Description = "Where --trace tells", HelpName = "FILE" };
        Option<bool> noTrap = new("--no-mmio-trap") { Description = "Offer no BAR for mapping, so that no ptrace is needed and a debugger can attach" };
        Option<bool> noIommu = new("--noiommu") { Description = "Devices without an IOMMU, as with enable_unsafe_noiommu_mode" };
        Option<int?> group = new("--group") { Description = "Put all devices into one IOMMU group, which this number stands for", HelpName = "NUMBER" };
        Option<bool> spapr = new("--spapr") { Description = "IOMMUs of POWER machines: containers of the sPAPR TCE types, with error handling" };
        Option<bool> testOperations = new("--test-ops") { Description = "Offer the operations by which programs test iommufd itself (IOMMU_TEST_OP_*)" };
        Option<DescriptorMemoryPolicy> memory = CommonOptions.Choice(
            "--program-memory",
            "How devices reach the program's memory that is a file's; 'trusted' maps what cannot be sealed too, and a program that shrinks it ends the run",
            DescriptorMemoryPolicy.Safe);
        Option<LogLevel> level = CommonOptions.LogLevel();
        Argument<string[]> program = new("program") { Description = "The program and its arguments, behind --", Arity = ArgumentArity.OneOrMore };
        Command command = new("run", "Run an unmodified program that uses VFIO on devices of this process: no root, no module, no IOMMU.")
        {
            devices, config, trace, output, noTrap, noIommu, group, spapr, testOperations, memory, level, program,
        };
        command.SetAction(async result =>
        {
            IReadOnlyList<RunDevice> wanted = RunDevice.Read(result.GetValue(devices) ?? [], result.GetValue(config));
            using ILoggerFactory logger = ErrorLog.Create(result.GetValue(level));
            await using VfioHost host = new(new VfioHostOptions
            {
                LoggerFactory = logger,
                Capabilities = ProgramCaller.GetCapabilities,
                ProcessAccount = ProgramCaller.GetAccount,
                UnsafeNoIommu = result.GetValue(noIommu),
                RequestInterval = TimeSpan.FromSeconds(1),
                IommufdExtension = result.GetValue(testOperations) ? new IommufdTestCommands() : null,
            });
            if (result.GetValue(spapr))
            {
                host.RegisterIommuDriver(new SpaprDriver(host));
            }

            await using ProgramBus bus = new(
                host, result.GetValue(spapr) ? static () => new SimulatedSpaprTableGroup { Endpoint = new SpaprEndpoint() } : null);
            foreach (RunDevice device in wanted)
            {
                ProgramFunction function = bus.Add(device.Address, device.Create, result.GetValue(group));
                await DeviceCatalog.AnnounceAsync(device.Model, function.Device!);
            }

            FileInfo? file = result.GetValue(output);
            await using StreamWriter? writer = file is null ? null : new StreamWriter(file.FullName);
            return ProgramSupervisor.Run(bus, new RunOptions
            {
                Program = result.GetValue(program)!,
                Launcher = ToolLauncher.Find(),
                TrapsRegisters = !result.GetValue(noTrap),
                ProgramMemory = result.GetValue(memory),
                Trace = writer ?? (result.GetValue(trace) ? Console.Error : null),
            });
        });
        return command;
    }
}

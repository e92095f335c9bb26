using System.CommandLine;
using System.Text.Json.Nodes;
using Vfio.Kernel;
using Vfio.Tool.Output;

namespace Vfio.Tool.Commands;

/// <summary><c>vfio list</c>, <c>doctor</c>, <c>bind</c>, <c>unbind</c>: the PCI functions of this machine and who has them.</summary>
internal static class KernelCommands
{
    public static Command CreateList()
    {
        Option<bool> vfio = new("--vfio") { Description = "Only functions that a VFIO driver has" };
        Option<bool> json = CommonOptions.Json();
        Option<string> root = Root();
        Command command = new("list", "List this machine's PCI functions, their drivers and IOMMU groups.") { vfio, json, root };
        command.SetAction(result =>
        {
            PciFunction[] functions = [.. Sysfs(result, root).GetFunctions().Where(function => !result.GetValue(vfio) || function.IsHeldByVfio)];
            if (result.GetValue(json))
            {
                Json.Print(new JsonArray([.. functions.Select(static function => (JsonNode)ToJson(function))]));
                return CommandLine.Success;
            }

            Table table = new("function", "id", "class", "driver", "group", "node");
            foreach (PciFunction function in functions)
            {
                table.Add(
                    function.Address.ToString(),
                    function.Id,
                    $"{function.ClassCode:x6}",
                    function.Driver ?? "-",
                    function.Group is { } group ? $"{group}" : "-",
                    function.VfioDevice is { } node ? $"/dev/vfio/devices/{node}" : "-");
            }

            table.Print();
            return CommandLine.Success;
        });
        return command;
    }

    public static Command CreateDoctor()
    {
        Argument<string?> function = new("function")
        {
            Description = "The function to ask about, as 0000:06:0d.0; the machine and what VFIO has when not given",
            Arity = ArgumentArity.ZeroOrOne,
        };
        Option<bool> json = CommonOptions.Json();
        Option<string> root = Root();
        Command command = new("doctor", "Find out why the kernel does not give a device to user space. Status 1 when something must be mended.") { function, json, root };
        command.SetAction(result =>
        {
            KernelDoctor doctor = new(new KernelFiles(result.GetRequiredValue(root)));
            IReadOnlyList<Finding> findings = result.GetValue(function) is { } text ? doctor.Examine(Parse(text)) : doctor.Examine();
            if (result.GetValue(json))
            {
                Json.Print(new JsonArray([.. findings.Select(static finding => (JsonNode)new JsonObject
                {
                    ["id"] = finding.Id,
                    ["severity"] = Word(finding.Severity),
                    ["title"] = finding.Title,
                    ["cause"] = finding.Cause,
                    ["fix"] = finding.Fix,
                })]));
            }
            else
            {
                foreach (Finding finding in findings)
                {
                    Console.WriteLine($"{finding.Id} {Word(finding.Severity)}: {finding.Title}");
                    Console.WriteLine($"  {finding.Cause}");
                    Console.WriteLine($"  {finding.Fix}");
                }

                if (findings.Count == 0)
                {
                    Console.WriteLine("Nothing is in the way.");
                }
            }

            return findings.Any(static finding => finding.Severity == FindingSeverity.Error) ? CommandLine.Failed : CommandLine.Success;
        });
        return command;
    }

    public static Command CreateBind()
    {
        Argument<string> function = Function();
        Option<string> driver = new("--driver") { Description = "The driver", DefaultValueFactory = static _ => "vfio-pci" };
        Option<string> root = Root();
        Command command = new("bind", "Give a PCI function to vfio-pci, away from the driver that has it.") { function, driver, root };
        command.SetAction(result =>
        {
            PciAddress address = Parse(result.GetRequiredValue(function));
            PciSysfs sysfs = Sysfs(result, root);
            string name = result.GetRequiredValue(driver);
            sysfs.Bind(address, name);
            PciFunction bound = sysfs.Find(address)!;
            Console.WriteLine($"{address} {bound.Id}: {bound.Driver}, {(bound.Group is { } group ? $"group {group}" : "no IOMMU group")}");

            // What keeps it from being used all the same, told now rather than at the next command.
            foreach (Finding finding in new KernelDoctor(new KernelFiles(result.GetRequiredValue(root))).Examine(address).Where(finding => bound.IsHeldByVfio && finding.Severity == FindingSeverity.Error))
            {
                Console.WriteLine(finding.ToSentences());
            }

            return CommandLine.Success;
        });
        return command;
    }

    public static Command CreateUnbind()
    {
        Argument<string> function = Function();
        Option<string> root = Root();
        Command command = new("unbind", "Take a PCI function away from vfio-pci; the kernel's own driver gets it again.") { function, root };
        command.SetAction(result =>
        {
            PciAddress address = Parse(result.GetRequiredValue(function));
            PciSysfs sysfs = Sysfs(result, root);
            sysfs.Unbind(address);
            PciFunction freed = sysfs.Find(address)!;
            Console.WriteLine($"{address} {freed.Id}: {freed.Driver ?? "no driver"}");
            return CommandLine.Success;
        });
        return command;
    }

    private static Argument<string> Function() => new("function") { Description = "The PCI function, as 0000:06:0d.0 or 06:0d.0" };

    private static Option<string> Root() => new("--root")
    {
        Description = "The folder with sys, dev and proc, as in a container that has the host's elsewhere",
        HelpName = "FOLDER",
        DefaultValueFactory = static _ => "/",
    };

    private static PciSysfs Sysfs(ParseResult result, Option<string> root) => new(new KernelFiles(result.GetRequiredValue(root)));

    private static PciAddress Parse(string text)
        => PciAddress.TryParse(text, out PciAddress address) ? address : throw new UsageException($"'{text}' is no PCI function; 0000:06:0d.0 and 06:0d.0 are.");

    private static string Word(FindingSeverity severity) => severity.ToString().ToLowerInvariant();

    private static JsonObject ToJson(PciFunction function) => new()
    {
        ["function"] = function.Address.ToString(),
        ["id"] = function.Id,
        ["class"] = $"{function.ClassCode:x6}",
        ["driver"] = function.Driver,
        ["group"] = function.Group,
        ["node"] = function.VfioDevice is { } node ? $"/dev/vfio/devices/{node}" : null,
    };
}

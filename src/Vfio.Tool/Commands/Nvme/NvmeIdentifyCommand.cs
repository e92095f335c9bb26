using System.CommandLine;
using System.Text.Json.Nodes;
using Vfio.Drivers.Nvme;
using Vfio.Tool.Output;

namespace Vfio.Tool.Commands.Nvme;

/// <summary><c>vfio nvme ADDRESS identify</c>.</summary>
internal static class NvmeIdentifyCommand
{
    public static Command Create(Argument<string> address)
    {
        Option<bool> json = CommonOptions.Json();
        Command command = new("identify", "Tell what the controller and its namespaces are.") { json };
        command.SetAction(async (result, cancellationToken) =>
        {
            await using NvmeSession session = await NvmeSession.OpenAsync(result.GetRequiredValue(address), new NvmeOptions(), cancellationToken);
            if (result.GetValue(json))
            {
                Json.Print(ToJson(session.Controller));
            }
            else
            {
                Print(session.Controller);
            }

            return CommandLine.Success;
        });
        return command;
    }

    private static void Print(NvmeController controller)
    {
        NvmeControllerIdentity identity = controller.Identity;
        Table table = new("controller", controller.Address);
        table.Add("model", identity.ModelNumber);
        table.Add("serial", identity.SerialNumber);
        table.Add("firmware", identity.FirmwareRevision);
        table.Add("subsystem", identity.SubsystemName);
        table.Add("vendor", $"{identity.VendorId:x4}, subsystem {identity.SubsystemVendorId:x4}, OUI {identity.IeeeOui:x6}");
        table.Add("NVM Express", controller.Version.ToString());
        table.Add("capacity", identity.TotalCapacity == 0 ? "not reported" : $"{identity.TotalCapacity} bytes");
        table.Add("queues", $"{controller.QueueCount} of {controller.QueueDepth} entries; the controller's limit is {controller.Capabilities.MaximumQueueEntries}");
        table.Add("completions", controller.InterruptKind?.ToString() ?? "polled");
        table.Add("transfer", $"{controller.MaximumTransfer} bytes, by {(controller.UsesSgl ? "PRP and SGL" : "PRP")}");
        table.Add("doorbells", controller.UsesShadowDoorbells ? "in memory" : controller.UsesMappedDoorbells ? "registers, mapped" : "registers");
        table.Add("write cache", identity.HasVolatileWriteCache ? "volatile" : "none");
        table.Add("optional", $"OACS {identity.OptionalAdminCommands:x4}, ONCS {identity.OptionalCommands:x4}, SGLS {identity.SglSupport:x8}");
        table.Print();
        if (controller.Namespaces.Count == 0)
        {
            Console.WriteLine("It has no active namespace.");
            return;
        }

        Table namespaces = new("namespace", "blocks", "block", "bytes", "used", "identifier", "state");
        foreach (NvmeNamespace disk in controller.Namespaces)
        {
            namespaces.Add(
                $"{disk.Id}",
                $"{disk.BlockCount}",
                $"{disk.Identity.Format.BlockSize}",
                $"{(UInt128)disk.BlockCount * (uint)disk.Identity.Format.BlockSize}",
                $"{disk.Identity.Utilization}",
                Identifier(disk) ?? "-",
                disk.Problem ?? (disk.Identity.IsWriteProtected ? "write protected" : "usable"));
        }

        namespaces.Print();
    }

    private static string? Identifier(NvmeNamespace disk)
        => disk.Descriptors.Uuid?.ToString() ?? disk.Descriptors.GloballyUniqueId ?? disk.Identity.GloballyUniqueId ?? disk.Descriptors.ExtendedUniqueId ?? disk.Identity.ExtendedUniqueId;

    private static JsonObject ToJson(NvmeController controller)
    {
        NvmeControllerIdentity identity = controller.Identity;
        return new JsonObject
        {
            ["address"] = controller.Address,
            ["model"] = identity.ModelNumber,
            ["serial"] = identity.SerialNumber,
            ["firmware"] = identity.FirmwareRevision,
            ["subsystem"] = identity.SubsystemName,
            ["vendor"] = $"{identity.VendorId:x4}",
            ["controllerId"] = identity.ControllerId,
            ["version"] = controller.Version.ToString(),

            // A text: more than JSON's numbers hold.
            ["capacity"] = identity.TotalCapacity.ToString(),
            ["queues"] = controller.QueueCount,
            ["queueDepth"] = controller.QueueDepth,
            ["completions"] = controller.InterruptKind?.ToString() ?? "polled",
            ["maximumTransfer"] = controller.MaximumTransfer,
            ["sgl"] = controller.UsesSgl,
            ["shadowDoorbells"] = controller.UsesShadowDoorbells,
            ["mappedDoorbells"] = controller.UsesMappedDoorbells,
            ["volatileWriteCache"] = identity.HasVolatileWriteCache,
            ["optionalAdminCommands"] = identity.OptionalAdminCommands,
            ["optionalCommands"] = identity.OptionalCommands,
            ["namespaces"] = new JsonArray([.. controller.Namespaces.Select(static disk => (JsonNode)new JsonObject
            {
                ["id"] = disk.Id,
                ["blocks"] = disk.BlockCount,
                ["blockSize"] = disk.Identity.Format.BlockSize,
                ["metadataSize"] = disk.Identity.Format.MetadataSize,
                ["utilization"] = disk.Identity.Utilization,
                ["nguid"] = disk.Descriptors.GloballyUniqueId ?? disk.Identity.GloballyUniqueId,
                ["eui64"] = disk.Descriptors.ExtendedUniqueId ?? disk.Identity.ExtendedUniqueId,
                ["uuid"] = disk.Descriptors.Uuid?.ToString(),
                ["writeProtected"] = disk.Identity.IsWriteProtected,
                ["problem"] = disk.Problem,
            })]),
        };
    }
}

using System.CommandLine;
using System.Text.Json.Nodes;
using Vfio.Tool.Devices;
using Vfio.Tool.Output;

namespace Vfio.Tool.Commands;

/// <summary><c>vfio info</c>: regions and interrupts of a device.</summary>
internal static class InfoCommand
{
    public static Command Create()
    {
        Argument<string> address = CommonOptions.Address();
        Option<bool> json = CommonOptions.Json();
        Command command = new("info", "Show a device's regions and interrupts.") { address, json };
        command.SetAction(async (result, cancellationToken) =>
        {
            await using OpenedDevice device = await OpenedDevice.OpenAsync(result.GetRequiredValue(address), cancellationToken);
            if (result.GetValue(json))
            {
                PrintJson(device.Connection);
            }
            else
            {
                PrintTables(device.Connection);
            }

            return CommandLine.Success;
        });
        return command;
    }

    private static void PrintTables(VfioConnection connection)
    {
        Console.WriteLine($"{connection.Address}  {Identify(connection)}  {connection.Info.Flags}");
        Table regions = new("region", "size", "access", "mappable");
        foreach (RegionDescription region in connection.Regions.Where(static region => region.Size > 0))
        {
            string areas = string.Join(", ", region.MappableAreas.Select(static area => $"0x{area.Offset:x}+0x{area.Size:x}"));
            regions.Add(Name(region.Index), $"0x{region.Size:x}", Access(region), areas.Length == 0 ? "no" : areas);
        }

        regions.Print();
        Table interrupts = new("interrupt", "count", "flags");
        foreach (IrqInfo irq in connection.Irqs)
        {
            interrupts.Add(((PciInterrupt)irq.Index).ToString(), $"{irq.Count}", irq.Count == 0 ? string.Empty : irq.Flags.ToString());
        }

        interrupts.Print();
        if (connection.TryGetMigrationFlags(out MigrationFlags migration) == Abi.Errno.None)
        {
            Console.WriteLine($"migration: {migration}");
        }
    }

    private static void PrintJson(VfioConnection connection) => Json.Print(new JsonObject
    {
        ["address"] = connection.Address,
        ["id"] = Identify(connection),
        ["flags"] = connection.Info.Flags.ToString(),
        ["regions"] = new JsonArray([.. connection.Regions.Where(static region => region.Size > 0).Select(static region => (JsonNode)new JsonObject
        {
            ["index"] = region.Index,
            ["name"] = Name(region.Index),
            ["size"] = region.Size,
            ["access"] = Access(region),
            ["mappable"] = new JsonArray([.. region.MappableAreas.Select(static area => (JsonNode)new JsonObject { ["offset"] = area.Offset, ["size"] = area.Size })]),
        })]),
        ["interrupts"] = new JsonArray([.. connection.Irqs.Select(static irq => (JsonNode)new JsonObject
        {
            ["index"] = irq.Index,
            ["name"] = ((PciInterrupt)irq.Index).ToString(),
            ["count"] = irq.Count,
            ["flags"] = irq.Flags.ToString(),
        })]),
    });

    private static string Identify(VfioConnection connection)
        => connection.Config.Size >= 4 ? $"{connection.Config.Read16(0):x4}:{connection.Config.Read16(2):x4}" : "no configuration space";

    private static string Name(uint region) => region < PciLayout.RegionCount ? ((PciRegion)region).ToString() : $"{region}";

    private static string Access(RegionDescription region)
        => ((region.Info.Flags & RegionFlags.Read) != 0 ? "r" : "-") + ((region.Info.Flags & RegionFlags.Write) != 0 ? "w" : "-");
}

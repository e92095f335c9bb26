using System.CommandLine;
using System.Text.Json.Nodes;
using Vfio.Drivers.Nvme;
using Vfio.Tool.Output;

namespace Vfio.Tool.Commands.Nvme;

/// <summary><c>vfio nvme ADDRESS smart</c>.</summary>
internal static class NvmeSmartCommand
{
    private const int Kelvin = 273;

    public static Command Create(Argument<string> address)
    {
        Option<bool> json = CommonOptions.Json();
        Command command = new("smart", "Tell the controller's health and its error log. Status 1 when something is critical.") { json };
        command.SetAction(async (result, cancellationToken) =>
        {
            await using NvmeSession session = await NvmeSession.OpenAsync(result.GetRequiredValue(address), new NvmeOptions { QueueCount = 1 }, cancellationToken);
            NvmeSmartLog log = await session.Controller.GetSmartLogAsync();
            IReadOnlyList<NvmeErrorLogEntry> errors = await session.Controller.GetErrorLogAsync();
            if (result.GetValue(json))
            {
                Json.Print(ToJson(log, errors));
            }
            else
            {
                Print(log, errors);
            }

            return log.CriticalWarnings == NvmeCriticalWarnings.None ? CommandLine.Success : CommandLine.Failed;
        });
        return command;
    }

    private static void Print(NvmeSmartLog log, IReadOnlyList<NvmeErrorLogEntry> errors)
    {
        Table table = new("health", "value");
        table.Add("critical warnings", log.CriticalWarnings.ToString());
        table.Add("temperature", log.Temperature == 0 ? "not reported" : $"{log.Temperature - Kelvin} °C");
        for (int i = 0; i < log.Sensors.Count; i++)
        {
            if (log.Sensors[i] != 0)
            {
                table.Add($"sensor {i + 1}", $"{log.Sensors[i] - Kelvin} °C");
            }
        }

        table.Add("available spare", $"{log.AvailableSpare} % (warns below {log.AvailableSpareThreshold} %)");
        table.Add("life used", $"{log.PercentageUsed} %");
        table.Add("data read", $"{log.DataUnitsRead} × 512000 bytes, {log.HostReadCommands} commands");
        table.Add("data written", $"{log.DataUnitsWritten} × 512000 bytes, {log.HostWriteCommands} commands");
        table.Add("controller busy", $"{log.ControllerBusyTime} min");
        table.Add("power", $"{log.PowerOnHours} h on, {log.PowerCycles} cycles, {log.UnsafeShutdowns} unsafe shutdowns");
        table.Add("media errors", $"{log.MediaErrors}");
        table.Add("error log entries", $"{log.ErrorLogEntries}");
        table.Add("too warm", $"{log.WarningTemperatureTime} min above warning, {log.CriticalTemperatureTime} min above critical");
        table.Print();
        if (errors.Count > 0)
        {
            Table list = new("error", "queue", "command", "status", "block", "namespace");
            foreach (NvmeErrorLogEntry entry in errors)
            {
                list.Add($"{entry.Count}", $"{entry.Queue}", $"{entry.Command}", entry.Status.ToString(), $"{entry.Block}", $"{entry.NamespaceId}");
            }

            list.Print();
        }
    }

    private static JsonObject ToJson(NvmeSmartLog log, IReadOnlyList<NvmeErrorLogEntry> errors) => new()
    {
        ["criticalWarnings"] = log.CriticalWarnings.ToString(),
        ["temperatureKelvin"] = log.Temperature,
        ["availableSpare"] = log.AvailableSpare,
        ["availableSpareThreshold"] = log.AvailableSpareThreshold,
        ["percentageUsed"] = log.PercentageUsed,

        // Texts: counters of 128 bits.
        ["dataUnitsRead"] = log.DataUnitsRead.ToString(),
        ["dataUnitsWritten"] = log.DataUnitsWritten.ToString(),
        ["hostReadCommands"] = log.HostReadCommands.ToString(),
        ["hostWriteCommands"] = log.HostWriteCommands.ToString(),
        ["controllerBusyMinutes"] = log.ControllerBusyTime.ToString(),
        ["powerCycles"] = log.PowerCycles.ToString(),
        ["powerOnHours"] = log.PowerOnHours.ToString(),
        ["unsafeShutdowns"] = log.UnsafeShutdowns.ToString(),
        ["mediaErrors"] = log.MediaErrors.ToString(),
        ["errorLogEntries"] = log.ErrorLogEntries.ToString(),
        ["warningTemperatureMinutes"] = log.WarningTemperatureTime,
        ["criticalTemperatureMinutes"] = log.CriticalTemperatureTime,
        ["errors"] = new JsonArray([.. errors.Select(static entry => (JsonNode)new JsonObject
        {
            ["count"] = entry.Count,
            ["queue"] = entry.Queue,
            ["command"] = entry.Command,
            ["status"] = entry.Status.ToString(),
            ["block"] = entry.Block,
            ["namespace"] = entry.NamespaceId,
        })]),
    };
}

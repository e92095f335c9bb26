using System.CommandLine;
using System.Text.Json.Nodes;
using Vfio.Tool.Devices;
using Vfio.Tool.Output;

namespace Vfio.Tool.Commands;

/// <summary><c>vfio devices</c>: the models that can be served.</summary>
internal static class DevicesCommand
{
    public static Command Create()
    {
        Option<bool> json = CommonOptions.Json();
        Command command = new("devices", "List the device models that can be served, with their settings.") { json };
        command.SetAction(result => Run(result.GetValue(json)));
        return command;
    }

    private static int Run(bool json)
    {
        if (json)
        {
            Json.Print(new JsonArray([.. DeviceCatalog.Models.Select(static model => (JsonNode)new JsonObject
            {
                ["name"] = model.Name,
                ["summary"] = model.Summary,
                ["settings"] = new JsonArray([.. model.Settings.Select(static setting => (JsonNode)new JsonObject
                {
                    ["name"] = setting.Name,
                    ["accepts"] = setting.Accepts,
                    ["default"] = setting.Default,
                })]),
            })]));
            return CommandLine.Success;
        }

        Table table = new("model", "setting", "what it is", "default");
        foreach (DeviceModel model in DeviceCatalog.Models)
        {
            table.Add(model.Name, string.Empty, model.Summary, string.Empty);
            foreach (DeviceSetting setting in model.Settings)
            {
                table.Add(string.Empty, setting.Name, setting.Accepts, setting.Default);
            }
        }

        table.Print();
        return CommandLine.Success;
    }
}

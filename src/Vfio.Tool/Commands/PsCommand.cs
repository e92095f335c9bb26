using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Vfio.Tool.Output;
using Vfio.Tool.Serving;

namespace Vfio.Tool.Commands;

/// <summary><c>vfio ps</c>: the processes of this user that serve devices, with their clients and what they do.</summary>
internal static class PsCommand
{
    public static Command Create()
    {
        Option<bool> json = CommonOptions.Json();
        Option<int> interval = CommonOptions.Number(
            "--interval", "Milliseconds over which rates are measured; 0 for no rates", 500, "a number of milliseconds from 0", static value => value >= 0);
        Option<bool> collect = new("--collect") { Description = "Have them collect their garbage first: the memory they then tell is what they need" };
        Command command = new("ps", "List the devices that processes of yours serve, their clients, and their rates.") { interval, collect, json };
        command.SetAction(async (result, stop) =>
        {
            List<JsonObject> hosts = await AskAsync(result.GetValue(interval), result.GetValue(collect), stop);
            if (result.GetValue(json))
            {
                Json.Print(new JsonArray([.. hosts]));
            }
            else
            {
                Print(hosts);
            }

            return CommandLine.Success;
        });
        return command;
    }

    private static async Task<List<JsonObject>> AskAsync(int interval, bool collect, CancellationToken stop)
    {
        string[] sockets = Directory.Exists(ControlSocket.Folder) ? Directory.GetFiles(ControlSocket.Folder, "*.sock") : [];
        Dictionary<string, JsonObject> before = Answers(sockets, collect);
        if (interval == 0 || before.Count == 0)
        {
            return [.. before.Values];
        }

        await Task.Delay(interval, stop);
        Dictionary<string, JsonObject> after = Answers(sockets, collect: false);
        foreach ((string socket, JsonObject host) in after)
        {
            foreach (JsonObject device in host["devices"]!.AsArray().OfType<JsonObject>())
            {
                JsonObject? earlier = before.GetValueOrDefault(socket)?["devices"]!.AsArray().OfType<JsonObject>()
                    .FirstOrDefault(other => (string?)other["name"] == (string?)device["name"] && (long)other["connections"]! == (long)device["connections"]!);
                long since = (long)device["messages"]! - (earlier is null ? 0 : (long)earlier["messages"]!);
                device["messagesPerSecond"] = Math.Round(since * 1000.0 / interval, 1);
            }
        }

        return [.. after.Values];
    }

    private static Dictionary<string, JsonObject> Answers(string[] sockets, bool collect)
        => sockets.Order(StringComparer.Ordinal)
            .Select(socket => (Socket: socket, Answer: ControlSocket.Ask(socket, collect)))
            .Where(static answer => answer.Answer is not null)
            .ToDictionary(static answer => answer.Socket, static answer => answer.Answer!, StringComparer.Ordinal);

    private static void Print(List<JsonObject> hosts)
    {
        Table table = new("process", "device", "model", "client", "connected", "messages/s", "DMA areas", "DMA bytes", "reached", "place");
        foreach (JsonObject host in hosts)
        {
            foreach (JsonObject device in host["devices"]!.AsArray().OfType<JsonObject>())
            {
                JsonNode? client = device["client"];
                table.Add(
                    Text(host["process"]),
                    Text(device["name"]),
                    Text(device["model"]),
                    client is null ? "-" : string.Create(CultureInfo.InvariantCulture, $"{client["process"]} (user {client["user"]})"),
                    client is null ? "-" : string.Create(CultureInfo.InvariantCulture, $"{(double)client["seconds"]!:0} s"),
                    Text(device["messagesPerSecond"]),
                    Text(device["dmaAreas"]),
                    Text(device["dmaBytes"]),
                    Reach(device["dma"]),
                    Text(device["place"]));
            }
        }

        table.Print();
    }

    /// <summary>In how many areas the client's memory is reached in which way; null from a process that does not tell.</summary>
    private static string Reach(JsonNode? dma)
    {
        (string Name, string Text)[] ways = [("mapped", "mapped"), ("descriptor", "by descriptor"), ("message", "by message")];
        string text = string.Join(
            ", ",
            ways.Select(way => (way.Text, Areas: (int?)dma?[way.Name]?["areas"] ?? 0))
                .Where(static way => way.Areas > 0)
                .Select(static way => string.Create(CultureInfo.InvariantCulture, $"{way.Areas} {way.Text}")));
        return text.Length == 0 ? "-" : text;
    }

    private static string Text(JsonNode? node) => node is null ? "-" : node.ToString();
}

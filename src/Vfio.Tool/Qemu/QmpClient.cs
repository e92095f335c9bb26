using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Vfio.Tool.Qemu;

/// <summary>QEMU's control connection: commands with answers, and the events that came meanwhile.</summary>
public sealed class QmpClient : IDisposable
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(60);

    private readonly QemuProcess _qemu;
    private readonly NetworkStream _stream;
    private readonly SemaphoreSlim _oneCommand = new(1);
    private readonly BlockingCollection<JsonObject> _answers = [];
    private readonly ConcurrentQueue<string> _events = new();
    private readonly TaskCompletionSource _greeting = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private QmpClient(QemuProcess qemu, Socket socket)
    {
        _qemu = qemu;
        _stream = new NetworkStream(socket, ownsSocket: true);
    }

    /// <summary>The names of the events so far, oldest first (<c>RESET</c>, <c>SHUTDOWN</c>, <c>DEVICE_DELETED</c> …).</summary>
    public IReadOnlyCollection<string> Events => _events;

    /// <summary>Speaks with QEMU through a connection that it has just opened.</summary>
    public static async Task<QmpClient> ConnectAsync(QemuProcess qemu, Socket socket)
    {
        var client = new QmpClient(qemu, socket);
        _ = Task.Run(client.ReadAsync);
        await client._greeting.Task.WaitAsync(s_timeout);
        await client.ExecuteAsync("qmp_capabilities");
        return client;
    }

    /// <summary>Executes a command and gives what it returned.</summary>
    /// <exception cref="QmpException">QEMU refused it.</exception>
    /// <exception cref="QemuException">QEMU ended or did not answer.</exception>
    public async Task<JsonNode> ExecuteAsync(string command, JsonObject? arguments = null)
    {
        var request = new JsonObject { ["execute"] = command };
        if (arguments is not null)
        {
            request["arguments"] = arguments;
        }

        await _oneCommand.WaitAsync();
        try
        {
            await _stream.WriteAsync(Encoding.UTF8.GetBytes(request.ToJsonString() + "\n"));
            JsonObject answer = await Task.Run(() => _answers.TryTake(out JsonObject? taken, s_timeout) ? taken : null)
                ?? throw new QemuException(_qemu.Describe($"QMP {command} was not answered"));
            if (answer["error"] is JsonObject error)
            {
                throw new QmpException(command, error["class"]!.GetValue<string>(), error["desc"]!.GetValue<string>());
            }

            return answer["return"]!;
        }
        catch (IOException e)
        {
            throw new QemuException(_qemu.Describe($"QMP {command} could not be sent"), e);
        }
        finally
        {
            _oneCommand.Release();
        }
    }

    /// <summary>Waits until an event has come this many times in all.</summary>
    public async Task WaitForEventAsync(string name, int count = 1)
    {
        using var stop = new CancellationTokenSource(s_timeout);
        while (_events.Count(e => e == name) < count)
        {
            if (stop.IsCancellationRequested)
            {
                throw new QemuException(_qemu.Describe($"The event {name} did not come"));
            }

            await Task.Delay(1);
        }
    }

    public void Dispose() => _stream.Dispose();

    private async Task ReadAsync()
    {
        try
        {
            using var reader = new StreamReader(_stream, Encoding.UTF8, leaveOpen: true);
            while (await reader.ReadLineAsync() is { } line)
            {
                JsonObject message = JsonNode.Parse(line)!.AsObject();
                if (message["QMP"] is not null)
                {
                    _greeting.TrySetResult();
                }
                else if (message["event"] is { } name)
                {
                    _events.Enqueue(name.GetValue<string>());
                }
                else
                {
                    _answers.Add(message);
                }
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or JsonException)
        {
            // The connection ends with QEMU; whoever waits for an answer says so.
        }

        _greeting.TrySetException(new QemuException(_qemu.Describe("QMP ended before its greeting")));
        _answers.CompleteAdding();
    }
}

using System.Net.Sockets;
using System.Text.Json.Nodes;

namespace Vfio.Tool.Qemu;

/// <summary>
/// A q35 machine with a real Linux, by software emulation. Commands run in the guest through an agent on its second
/// serial port; the kernel's console goes to a file, the end of which is in every failure message.
/// </summary>
public sealed class GuestMachine : IAsyncDisposable
{
    /// <summary>How a line of the console begins or what it holds that tells of a crash: it is named first in a failure.</summary>
    private static readonly string[] s_complaints = ["BUG:", "Oops:", "RIP:", "WARNING:", "Kernel panic", "general protection fault", "segfault at"];

    private static readonly TimeSpan s_commandTimeout = TimeSpan.FromSeconds(60);

    private readonly QemuProcess _qemu;
    private readonly QmpClient _qmp;
    private readonly GuestAgent _agent;
    private readonly ScratchFolder _scratch;
    private bool _disposed;

    private GuestMachine(GuestOptions options, QemuProcess qemu, QmpClient qmp, GuestAgent agent, ScratchFolder scratch)
    {
        Options = options;
        _qemu = qemu;
        _qmp = qmp;
        _agent = agent;
        _scratch = scratch;
    }

    /// <summary>What the machine is made of.</summary>
    public GuestOptions Options { get; }

    /// <summary>The process, for its output and its end.</summary>
    public QemuProcess Process => _qemu;

    /// <summary>QEMU's control connection.</summary>
    public QmpClient Qmp => _qmp;

    /// <summary>How often the guest has booted; 0 for a restored one.</summary>
    public int BootCount => _agent.Boots;

    /// <summary>What the kernel and its first process printed.</summary>
    public string ConsoleLog => File.Exists(ConsolePath(_scratch)) ? File.ReadAllText(ConsolePath(_scratch)) : "";

    /// <summary>Boots a guest with these devices.</summary>
    public static Task<GuestMachine> BootAsync(params IReadOnlyList<QemuDevice> devices) =>
        BootAsync(new GuestOptions { Devices = devices });

    /// <summary>Boots a guest and waits until it takes commands.</summary>
    /// <exception cref="QemuException">It did not come up; the message has the console's end and QEMU's output.</exception>
    public static async Task<GuestMachine> BootAsync(GuestOptions options, CancellationToken cancellationToken = default)
    {
        GuestMachine guest = await StartAsync(options, []);
        try
        {
            if (!await guest._agent.WaitForBootAsync(1, options.BootTimeout).WaitAsync(cancellationToken))
            {
                throw guest.Failure("The guest did not come up");
            }

            return guest;
        }
        catch
        {
            await guest.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts from a saved state, which takes a fraction of a boot.</summary>
    public static async Task<GuestMachine> RestoreAsync(GuestSnapshot snapshot)
    {
        GuestMachine guest = await StartAsync(snapshot.Options, ["-incoming", "defer"]);
        try
        {
            await guest._qmp.ExecuteAsync("migrate-incoming", new JsonObject { ["uri"] = $"file:{snapshot.StatePath}" });
            await guest.WaitForMigrationAsync();
            await guest._qmp.ExecuteAsync("cont");
            return guest;
        }
        catch
        {
            await guest.DisposeAsync();
            throw;
        }
    }

    /// <summary>Runs shell text in the guest, each time in a shell of its own, and gives its result.</summary>
    /// <exception cref="QemuException">No result came in time, or the guest went away.</exception>
    public async Task<GuestResult> TryRunAsync(string script, TimeSpan? timeout = null) =>
        await _agent.RunAsync(script, timeout ?? s_commandTimeout)
            ?? throw Failure($"The guest gave no result of: {script}");

    /// <summary>Runs shell text in the guest and gives what it printed.</summary>
    /// <exception cref="QemuException">It failed, no result came in time, or the guest went away.</exception>
    public async Task<string> RunAsync(string script, TimeSpan? timeout = null)
    {
        GuestResult result = await TryRunAsync(script, timeout);
        return result.Status == 0
            ? result.Output
            : throw Failure($"The guest's command ended with status {result.Status}: {script}{Environment.NewLine}{result.Output}");
    }

    /// <summary>Waits until shell text succeeds in the guest, e.g. until a driver has bound.</summary>
    public Task WaitUntilAsync(string condition, TimeSpan? timeout = null) =>
        RunAsync($"until {condition}; do sleep 0.05; done", timeout);

    /// <summary>Waits until the guest has booted this many times in all.</summary>
    public async Task WaitForBootAsync(int count)
    {
        if (!await _agent.WaitForBootAsync(count, Options.BootTimeout))
        {
            throw Failure($"The guest did not boot for the {count}. time");
        }
    }

    /// <summary>Binds a function to a driver by its name, away from the one that has it.</summary>
    /// <param name="address">The function as sysfs names it, e.g. <c>0000:00:04.0</c>.</param>
    /// <param name="driver">The driver, e.g. <c>vfio-pci</c>.</param>
    public Task BindAsync(string address, string driver) => RunAsync($"""
        cd /sys/bus/pci/devices/{address} || exit 1
        echo {driver} >driver_override
        [ ! -e driver ] || echo {address} >driver/unbind
        echo {address} >/sys/bus/pci/drivers_probe
        [ "$(basename "$(readlink driver)")" = {driver} ]
        """);

    /// <summary>
    /// Plugs a device into the running machine (give it a bus, <c>rp0</c> …). Linux ignores devices of class 0 here.
    /// </summary>
    public Task AddDeviceAsync(QemuDevice device) => _qmp.ExecuteAsync("device_add", device.ToJson());

    /// <summary>Stops the machine and writes its state; the machine is of no further use.</summary>
    internal async Task SaveAsync(string path)
    {
        await _qmp.ExecuteAsync("stop");
        await _qmp.ExecuteAsync("migrate", new JsonObject { ["uri"] = $"file:{path}" });
        await WaitForMigrationAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        _qemu.Dispose();
        await _qemu.Exited;
        _agent.Dispose();
        _qmp.Dispose();
        _scratch.Dispose();
    }

    private static string ConsolePath(ScratchFolder scratch) => scratch.File("console");

    private static async Task<GuestMachine> StartAsync(GuestOptions options, IReadOnlyList<string> more)
    {
        var scratch = new ScratchFolder();
        QemuProcess? qemu = null;
        try
        {
            using Socket agentListener = QemuProcess.Listen(scratch.File("agent"));
            using Socket qmpListener = QemuProcess.Listen(scratch.File("qmp"));
            qemu = QemuProcess.Start(
            [
                .. GuestCommandLine.Build(options, scratch, "vfio.agent"),
                "-serial", $"file:{ConsolePath(scratch)}",
                "-chardev", $"socket,id=agent,path={scratch.File("agent")}", "-serial", "chardev:agent",
                .. QemuArguments.Qmp(scratch.File("qmp")),
                .. more,
            ]);
            GuestAgent agent = new(await qemu.AcceptAsync(agentListener, "agent socket", options.BootTimeout));
            QmpClient qmp = await QmpClient.ConnectAsync(
                qemu, await qemu.AcceptAsync(qmpListener, "QMP socket", options.BootTimeout));
            return new GuestMachine(options, qemu, qmp, agent, scratch);
        }
        catch
        {
            qemu?.Dispose();
            scratch.Dispose();
            throw;
        }
    }

    private async Task WaitForMigrationAsync()
    {
        while (true)
        {
            JsonNode state = await _qmp.ExecuteAsync("query-migrate");
            switch (state["status"]?.GetValue<string>())
            {
                case "completed":
                    return;
                case "failed" or "cancelled":
                    throw Failure($"The machine's state could not be transferred: {state["error-desc"]}");
                default:
                    await Task.Delay(5);
                    break;
            }
        }
    }

    private QemuException Failure(string problem)
    {
        string log = ConsoleLog;
        string tail = log.Length <= 4000 ? log : "…" + log[^4000..];
        string complaints = string.Join(Environment.NewLine, log.Split('\n').Where(static line => s_complaints.Any(line.Contains)).Take(8));
        string said = complaints.Length == 0 ? "" : $"{Environment.NewLine}The kernel said:{Environment.NewLine}{complaints}";
        return new QemuException($"{_qemu.Describe(problem + said)}{Environment.NewLine}The console's end:{Environment.NewLine}{tail}");
    }
}

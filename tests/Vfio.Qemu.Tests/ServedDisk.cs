using Vfio.Tool.Tests;

namespace Vfio.Qemu.Tests;

/// <summary>A server of its own process, <c>vfio serve nvme</c>, on a file; it can be killed and started again.</summary>
internal sealed class ServedDisk : IAsyncDisposable
{
    private readonly string[] _settings;
    private ToolProcess? _server;

    private ServedDisk(ScratchFolder scratch, string file, string[] settings)
    {
        SocketPath = scratch.File("disk.sock");
        File = file;
        _settings = settings;
    }

    /// <summary>The image.</summary>
    public string File { get; }

    /// <summary>Where the server listens.</summary>
    public string SocketPath { get; }

    /// <summary>The disk as QEMU attaches it.</summary>
    public QemuDevice Device => QemuDevice.VfioUser(SocketPath);

    /// <summary>The bytes of storage that the image takes, which its holes do not.</summary>
    public async Task<long> AllocatedAsync()
    {
        ToolResult stat = await ToolProcess.RunProgramAsync("/usr/bin/stat", "-c", "%b", File);
        return long.Parse(stat.ShouldSucceed().Output, System.Globalization.CultureInfo.InvariantCulture) * 512;
    }

    /// <summary>Starts a server on this file.</summary>
    /// <param name="scratch">Where its socket goes.</param>
    /// <param name="file">The image.</param>
    /// <param name="settings">More of its settings, as <c>size=64M</c>.</param>
    public static async Task<ServedDisk> StartAsync(ScratchFolder scratch, string file, params string[] settings)
    {
        var disk = new ServedDisk(scratch, file, settings);
        await disk.StartAsync();
        return disk;
    }

    /// <summary>Starts it again after <see cref="KillAsync"/>.</summary>
    public async Task StartAsync()
    {
        _server = ToolProcess.Start(["serve", "nvme", "--socket-path", SocketPath, "--set", $"file={File}", .. _settings.SelectMany(static setting => (string[])["--set", setting])]);
        await _server.WaitUntilListeningAsync();
    }

    /// <summary>Kills the server as it stands (SIGKILL): it can write, flush and tell nothing any more.</summary>
    public async Task KillAsync()
    {
        _server!.Signal("KILL");
        await _server.WaitAsync();
        _server.Dispose();
        _server = null;
    }

    public async ValueTask DisposeAsync()
    {
        if (_server is not null)
        {
            await KillAsync();
        }
    }
}

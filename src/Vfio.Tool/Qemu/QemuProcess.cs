using System.Diagnostics;
using System.Net.Sockets;
using System.Text;

namespace Vfio.Tool.Qemu;

/// <summary>
/// One QEMU. It never outlives this object: <see cref="Dispose"/> kills it, and when this process ends without doing so
/// (a crash, SIGKILL), the pipe to its watcher closes, and the watcher kills it.
/// </summary>
public sealed class QemuProcess : IDisposable
{
    // The watcher is a child of the process that becomes QEMU, so that $$ is QEMU. It reads one line: a line means an
    // orderly end, the end of the pipe without one means that nobody is left to end QEMU.
    private const string StartScript =
        "exec 3<&0; (read -r _ <&3 || kill -9 $$) >/dev/null 2>&1 & exec \"$@\" </dev/null 3<&-";

    // With the terminal as QEMU's own, the watcher reads a named pipe that this process keeps open.
    private const string ConsoleScript =
        "pipe=$1; shift; (read -r _ <\"$pipe\" || kill -9 $$) >/dev/null 2>&1 & exec \"$@\"";

    private const int MaximumOutput = 64 * 1024;

    private readonly Process _process;
    private readonly FileStream? _pipe;
    private readonly StringBuilder _output = new();
    private readonly Lock _outputLock = new();
    private bool _disposed;

    private QemuProcess(Process process, FileStream? pipe = null)
    {
        _process = process;
        _pipe = pipe;
    }

    /// <summary>Completes when QEMU has ended, however it did.</summary>
    public Task Exited { get; private set; } = Task.CompletedTask;

    /// <summary>Whether QEMU has ended.</summary>
    public bool HasExited => Exited.IsCompleted;

    /// <summary>QEMU's process id.</summary>
    public int Id => _process.Id;

    /// <summary>The exit status; QEMU must have ended.</summary>
    public int ExitCode => _process.ExitCode;

    /// <summary>What QEMU printed (standard output and error), the last 64 KiB of it.</summary>
    public string Output
    {
        get
        {
            lock (_outputLock)
            {
                return _output.ToString();
            }
        }
    }

    /// <summary>Starts QEMU with these arguments after the ones that every machine of the harness has.</summary>
    public static QemuProcess Start(IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo("/bin/sh")
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        AddArguments(start, [StartScript, "sh"], arguments);

        var qemu = new QemuProcess(new Process { StartInfo = start });
        qemu._process.OutputDataReceived += (_, line) => qemu.Append(line.Data);
        qemu._process.ErrorDataReceived += (_, line) => qemu.Append(line.Data);
        qemu._process.Start();
        qemu._process.BeginOutputReadLine();
        qemu._process.BeginErrorReadLine();
        qemu.Exited = qemu._process.WaitForExitAsync();
        return qemu;
    }

    /// <summary>Starts QEMU with this process's standard input, output and error.</summary>
    /// <param name="arguments">The arguments after the ones that every machine has.</param>
    /// <param name="scratch">A folder that lasts as long as the process.</param>
    public static QemuProcess StartOnConsole(IEnumerable<string> arguments, ScratchFolder scratch)
    {
        string path = scratch.File("lifeline");
        using (Process make = Process.Start("mkfifo", [path]))
        {
            make.WaitForExit();
        }

        // For both directions, so that the opening does not wait for the watcher.
        FileStream pipe = new(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
        ProcessStartInfo start = new("/bin/sh");
        AddArguments(start, [ConsoleScript, "sh", path], arguments);
        var qemu = new QemuProcess(new Process { StartInfo = start }, pipe);
        qemu._process.Start();
        qemu.Exited = qemu._process.WaitForExitAsync();
        return qemu;
    }

    /// <summary>A socket for QEMU to connect to.</summary>
    public static Socket Listen(string path)
    {
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen(1);
        return listener;
    }

    /// <summary>Waits for QEMU to connect to a socket that the harness listens on.</summary>
    /// <exception cref="QemuException">QEMU ended instead, or did not connect in time.</exception>
    public async Task<Socket> AcceptAsync(Socket listener, string purpose, TimeSpan timeout)
    {
        using var stop = new CancellationTokenSource(timeout);
        Task<Socket> accept = listener.AcceptAsync(stop.Token).AsTask();
        await Task.WhenAny(accept, Exited).ConfigureAwait(false);
        if (!accept.IsCompleted)
        {
            await stop.CancelAsync();
        }

        try
        {
            return await accept;
        }
        catch (OperationCanceledException e)
        {
            throw new QemuException(Describe($"QEMU did not connect its {purpose} within {timeout.TotalSeconds} s"), e);
        }
    }

    /// <summary>Asks QEMU to end, so that it gives the terminal back as it was, and kills it when it does not.</summary>
    public async Task StopAsync()
    {
        if (!HasExited)
        {
            using (Process kill = Process.Start("kill", ["-s", "TERM", $"{Id}"]))
            {
                await kill.WaitForExitAsync();
            }

            await Task.WhenAny(Exited, Task.Delay(TimeSpan.FromSeconds(5)));
        }

        Dispose();
    }

    /// <summary>A failure message with QEMU's state and output.</summary>
    public string Describe(string problem)
    {
        string state = HasExited ? $"QEMU has ended with status {_process.ExitCode}" : "QEMU is running";
        string output = Output;
        return $"{problem}. {state}; it printed {(output.Length == 0 ? "nothing" : ":" + Environment.NewLine + output)}";
    }

    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        try
        {
            _process.Kill();
        }
        catch (InvalidOperationException)
        {
            // It has ended already.
        }

        _process.WaitForExit();
        try
        {
            // The watcher's leave: QEMU's number may be somebody else's by now.
            if (_pipe is null)
            {
                _process.StandardInput.WriteLine();
                _process.StandardInput.Close();
            }
            else
            {
                _pipe.Write("\n"u8);
                _pipe.Dispose();
            }
        }
        catch (IOException)
        {
            // The watcher has gone.
        }

        _process.Dispose();
    }

    private static void AddArguments(ProcessStartInfo start, IEnumerable<string> script, IEnumerable<string> arguments)
    {
        string[] machine = ["-nodefaults", "-no-user-config", "-display", "none", "-vga", "none"];
        foreach (string argument in (string[])["-c", .. script, QemuInstallation.Current.Qemu, .. machine, .. arguments])
        {
            start.ArgumentList.Add(argument);
        }
    }

    private void Append(string? line)
    {
        if (line is null)
        {
            return;
        }

        lock (_outputLock)
        {
            _output.AppendLine(line);
            if (_output.Length > MaximumOutput)
            {
                _output.Remove(0, _output.Length - MaximumOutput);
            }
        }
    }
}

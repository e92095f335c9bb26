using System.Diagnostics;
using System.Text;

namespace Vfio.Run.Tests;

/// <summary>A run of <c>vfio run</c> as a shell starts it.</summary>
internal sealed class SupervisedRun : IDisposable
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(60);
    private readonly Process _process;
    private readonly StringBuilder _error = new();

    private SupervisedRun(Process process)
    {
        _process = process;
        _process.ErrorDataReceived += (_, line) =>
        {
            lock (_error)
            {
                _error.Append(line.Data is null ? string.Empty : line.Data + "\n");
            }
        };
    }

    /// <summary>The tool that this build made.</summary>
    public static string Tool { get; } = FindTool();

    public int Id => _process.Id;

    public StreamReader Output => _process.StandardOutput;

    /// <summary>Runs a program on the edu device to its end.</summary>
    public static Task<RunResult> RunAsync(string program, params string[] arguments) => RunWithAsync(["--device", "edu@06:0d.0"], [program, .. arguments]);

    public static async Task<RunResult> RunWithAsync(string[] options, string[] program, bool asNobody = false)
    {
        using SupervisedRun run = Start(options, program, asNobody);
        return await run.EndAsync();
    }

    public static SupervisedRun Start(string[] options, string[] program, bool asNobody = false)
    {
        string[] command = [Tool, "run", .. options, "--", .. program];
        ProcessStartInfo start = asNobody
            ? new ProcessStartInfo("/usr/sbin/runuser", ["-u", "nobody", "--", .. command])
            : new ProcessStartInfo(command[0], command[1..]);
        start.RedirectStandardInput = start.RedirectStandardOutput = start.RedirectStandardError = true;
        start.WorkingDirectory = "/";
        start.Environment["PASSED_ON"] = "yes";
        start.Environment["LC_ALL"] = "C";
        SupervisedRun run = new(new Process { StartInfo = start });
        run._process.Start();
        run._process.StandardInput.Close();
        run._process.BeginErrorReadLine();
        return run;
    }

    public async Task<RunResult> EndAsync()
    {
        string output = await _process.StandardOutput.ReadToEndAsync().WaitAsync(s_timeout);
        using CancellationTokenSource timeout = new(s_timeout);
        await _process.WaitForExitAsync(timeout.Token);
        lock (_error)
        {
            return new RunResult(_process.ExitCode, output, _error.ToString());
        }
    }

    public void Kill() => _process.Kill();

    public void Signal(string name)
    {
        using Process kill = Process.Start("/bin/kill", ["-s", name, $"{_process.Id}"]);
        kill.WaitForExit();
        Assert.Equal(0, kill.ExitCode);
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
            _process.WaitForExit();
        }

        _process.Dispose();
    }

    private static string FindTool()
    {
        // …/artifacts/bin/Vfio.Run.Tests/CONFIGURATION/
        DirectoryInfo own = new(AppContext.BaseDirectory);
        string path = Path.Combine(own.Parent!.Parent!.FullName, "Vfio.Tool", own.Name, "Vfio.Tool");
        return File.Exists(path) ? path : throw new FileNotFoundException($"{path} is not there: build the solution.");
    }
}

/// <summary>How a run ended.</summary>
internal sealed record RunResult(int Status, string Output, string Error)
{
    public RunResult ShouldSucceed(string last = "done\n")
    {
        Assert.True(Status == 0 && Output.EndsWith(last, StringComparison.Ordinal) && Error.Length == 0, $"status {Status}, output '{Output}', error '{Error}'");
        return this;
    }
}

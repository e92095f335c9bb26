using System.Diagnostics;
using System.Text;

namespace Vfio.Tool.Tests;

/// <summary>A run of the real executable, as a shell would start it.</summary>
internal sealed class ToolProcess : IDisposable
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(60);
    private readonly Process _process;
    private readonly StringBuilder _error = new();

    private ToolProcess(Process process)
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

    /// <summary>The executable that this build made.</summary>
    public static string Executable { get; } = Find();

    public int Id => _process.Id;

    /// <summary>The processor time that it has taken so far, which does not depend on what else the machine does.</summary>
    public TimeSpan ProcessorTime
    {
        get
        {
            _process.Refresh();
            return _process.TotalProcessorTime;
        }
    }

    public bool HasExited => _process.HasExited;

    public string Error
    {
        get
        {
            lock (_error)
            {
                return _error.ToString();
            }
        }
    }

    /// <summary>Runs it to its end.</summary>
    public static Task<ToolResult> RunAsync(params string[] arguments) => RunProgramAsync(Executable, arguments);

    /// <summary>Runs another program to its end.</summary>
    public static async Task<ToolResult> RunProgramAsync(string program, params string[] arguments)
    {
        using ToolProcess tool = StartProgram(program, arguments);
        string output = await tool._process.StandardOutput.ReadToEndAsync().WaitAsync(s_timeout);
        return new ToolResult(await tool.WaitAsync(), output, tool.Error);
    }

    public static ToolProcess Start(params string[] arguments) => StartProgram(Executable, arguments);

    /// <summary>Starts a shell command in which <c>"$VFIO"</c> is the executable.</summary>
    public static ToolProcess StartShell(string command) => StartProgram("/bin/bash", "-c", command);

    public Task<string?> ReadLineAsync() => _process.StandardOutput.ReadLineAsync().WaitAsync(s_timeout);

    /// <summary>Waits for the line <c>listening …</c> and gives what stands behind the word.</summary>
    public async Task<string> WaitUntilListeningAsync()
    {
        string? line = await ReadLineAsync();
        if (line is null)
        {
            await WaitAsync();
        }

        Assert.True(line?.StartsWith("listening ", StringComparison.Ordinal) == true, $"it said '{line}' and '{Error}'");
        return line!["listening ".Length..];
    }

    /// <summary>Sends a signal by its name, e.g. TERM.</summary>
    public void Signal(string name)
    {
        using Process kill = Process.Start("/bin/kill", ["-s", name, $"{_process.Id}"]);
        kill.WaitForExit();
        Assert.Equal(0, kill.ExitCode);
    }

    /// <summary>Waits for its end and gives the exit status.</summary>
    public async Task<int> WaitAsync()
    {
        using CancellationTokenSource timeout = new(s_timeout);
        await _process.WaitForExitAsync(timeout.Token);
        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            // With what a shell started: the end of its output would be waited for.
            _process.Kill(entireProcessTree: true);
            _process.WaitForExit();
        }

        _process.Dispose();
    }

    private static ToolProcess StartProgram(string program, params string[] arguments)
    {
        ProcessStartInfo start = new(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["VFIO"] = Executable;
        start.Environment["LC_ALL"] = "C";
        ToolProcess tool = new(new Process { StartInfo = start });
        tool._process.Start();
        tool._process.StandardInput.Close();
        tool._process.BeginErrorReadLine();
        return tool;
    }

    private static string Find()
    {
        // …/artifacts/bin/Vfio.Tool.Tests/CONFIGURATION/
        DirectoryInfo own = new(AppContext.BaseDirectory);
        string path = Path.Combine(own.Parent!.Parent!.FullName, "Vfio.Tool", own.Name, "Vfio.Tool");
        return File.Exists(path) ? path : throw new FileNotFoundException($"{path} is not there: build the solution.");
    }
}

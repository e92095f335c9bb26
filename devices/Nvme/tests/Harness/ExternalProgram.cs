using System.Diagnostics;

namespace Vfio.Devices.Nvme.Tests.Harness;

/// <summary>
/// A program of the system, with its output in a file: a pipe of the framework would leave an epoll descriptor in this process. One that is lacking
/// fails the test; <c>./check</c> installs them.
/// </summary>
internal sealed class ExternalProgram : IDisposable
{
    private readonly Process _process;
    private readonly string _log = Path.GetTempFileName();

    public ExternalProgram(string name, params string[] arguments)
    {
        // exec: the process that is ended is the program itself.
        _process = Process.Start(new ProcessStartInfo("sh", ["-c", "log=$1; shift; exec \"$@\" >\"$log\" 2>&1 </dev/null", "sh", _log, name, .. arguments]))!;
    }

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    public string Output => File.ReadAllText(_log);

    /// <summary>Runs a program to its end.</summary>
    public static (int Status, string Output) Run(string name, params string[] arguments)
    {
        using var program = new ExternalProgram(name, arguments);
        Assert.True(program._process.WaitForExit(60_000), $"{name} does not end: {program.Output}");
        return (program._process.ExitCode, program.Output);
    }

    /// <summary>Ends it at once, as a crash does (SIGKILL).</summary>
    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            Kill();
        }

        _process.Dispose();
        File.Delete(_log);
    }
}

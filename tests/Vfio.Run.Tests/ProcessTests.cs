using System.Diagnostics;
using System.Globalization;

namespace Vfio.Run.Tests;

/// <summary>Threads, processes, signals and ends.</summary>
public sealed class ProcessTests
{
    private static readonly string[] s_bench = ["--device", "bench@06:0d.0"];

    [Fact]
    public async Task Threads_forks_and_executed_programs_share_files()
        => (await SupervisedRun.RunWithAsync(s_bench, [TestPrograms.Get("processes")])).ShouldSucceed();

    [Fact]
    public async Task Calls_that_wait_keep_no_other_from_being_served()
        => (await SupervisedRun.RunWithAsync(["--device", "edu@06:00.0@06:01.0@06:02.0@06:03.0"], [TestPrograms.Get("waits")])).ShouldSucceed();

    [Fact]
    public async Task Signals_come_as_without_a_tracer()
        => (await SupervisedRun.RunWithAsync(s_bench, [TestPrograms.Get("signals")])).ShouldSucceed("own fault at (nil)\n".Replace("(nil)", "0x1", StringComparison.Ordinal));

    [Theory]
    [InlineData("exit", "0", 0)]
    [InlineData("exit", "77", 77)]
    [InlineData("signal", "15", 143)]
    [InlineData("signal", "9", 137)]
    [InlineData("signal", "6", 134)]
    public async Task Exit_status_is_passed_through(string how, string argument, int status)
    {
        RunResult result = await SupervisedRun.RunAsync(TestPrograms.Get("ends"), how, argument);
        Assert.True(result.Status == status && result.Error.Length == 0, $"{result.Status} {result.Output} {result.Error}");
    }

    [Fact]
    public async Task Environment_is_passed_through() => Assert.Equal(0, (await SupervisedRun.RunAsync(TestPrograms.Get("ends"), "environment")).Status);

    [Fact]
    public async Task Broken_pipe_ends_a_program()
    {
        RunResult result = await SupervisedRun.RunWithAsync([], ["/bin/sh", "-c", $"'{SupervisedRun.Tool}' run --device edu@06:0d.0 -- /usr/bin/yes | head -n 1"]);
        Assert.Contains("EBUSY", result.Error, StringComparison.Ordinal); // A supervisor in a supervisor.
        string command = $"'{SupervisedRun.Tool}' run --device edu@06:0d.0 -- {TestPrograms.Get("ends")} pipe | head -n 1; echo ${{PIPESTATUS[0]}}";
        using Process pipe = Process.Start(new ProcessStartInfo("/bin/bash", ["-c", command]) { RedirectStandardOutput = true })!;
        Assert.Equal("text\n141\n", await pipe.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken));
    }

    [Theory]
    [InlineData("TERM", 143)]
    [InlineData("INT", 130)]
    [InlineData("HUP", 129)]
    [InlineData("USR1", 138)]
    public async Task Signal_to_the_supervisor_goes_to_the_program(string signal, int status)
    {
        using SupervisedRun run = SupervisedRun.Start(["--device", "edu@06:0d.0"], [TestPrograms.Get("ends"), "wait"]);
        Assert.StartsWith("waiting", await run.Output.ReadLineAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        run.Signal(signal);
        Assert.Equal(status, (await run.EndAsync()).Status);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Killed_supervisor_takes_the_program_along(bool traps)
    {
        using SupervisedRun run = SupervisedRun.Start(
            traps ? ["--device", "edu@06:0d.0"] : ["--device", "edu@06:0d.0", "--no-mmio-trap"], [TestPrograms.Get("ends"), "wait"]);
        string line = (await run.Output.ReadLineAsync(TestContext.Current.CancellationToken))!;
        string process = $"/proc/{int.Parse(line.AsSpan("waiting ".Length), CultureInfo.InvariantCulture)}";
        Assert.True(Directory.Exists(process));
        run.Kill();
        for (int i = 0; i < 500 && Directory.Exists(process) && !(await File.ReadAllTextAsync($"{process}/stat", TestContext.Current.CancellationToken)).Contains(") Z", StringComparison.Ordinal); i++)
        {
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }

        Assert.True(!Directory.Exists(process) || (await File.ReadAllTextAsync($"{process}/stat", TestContext.Current.CancellationToken)).Contains(") Z", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("/nowhere/program", "ENOENT")]
    [InlineData("no-such-program", "PATH")]
    [InlineData("/etc/passwd", "EACCES")]
    public async Task Program_that_cannot_be_executed_is_told(string program, string why)
    {
        RunResult result = await SupervisedRun.RunAsync(program);
        Assert.True(result.Status == 1 && result.Error.Contains(why, StringComparison.Ordinal), $"{result.Status} {result.Error}");
    }
}

using System.Diagnostics;
using Vfio.Abi;
using Vfio.TestUtilities;

namespace Vfio.Linux.Tests;

/// <summary>What a process that has entered the sandbox can do no more, and what it still can. A kernel without Landlock or seccomp fails these tests.</summary>
public sealed class ProcessSandboxTests : IDisposable
{
    /// <summary>What is neither a system call of ours nor in the folder.</summary>
    private static readonly string[] s_forbidden =
    [
        "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "mount", "bpf", "init_module", "keyctl", "io_uring_setup", "perf_event_open", "pidfd_open",
        "setns", "open_by_handle_at", "socket-inet", "kill-parent", "prlimit-parent", "type-into-terminal",
    ];

    private static readonly string[] s_allowed = ["socket-unix", "open-inside", "thread", "memfd"];
    private readonly string _folder = Directory.CreateTempSubdirectory("vfio-sandbox-").FullName;

    public void Dispose()
    {
        Directory.Delete(_folder, recursive: true);
        File.Delete(_folder + ".beside");
    }

    [Fact]
    public void Process_in_the_sandbox_reaches_nothing_outside_on_any_thread()
    {
        File.WriteAllText(_folder + ".beside", "beside");
        File.WriteAllText(Path.Combine(_folder, "inside"), "inside");
        using (Process program = Process.Start(SiegeProgram.Executable, ["sandbox", _folder]))
        {
            program.WaitForExit();
            Assert.Equal(0, program.ExitCode);
        }

        // Outside, none of it is EPERM but what needs more privileges than this user has.
        Dictionary<string, string> outside = Read("outside");
        Assert.All((string[])[.. s_allowed, "socket-inet", "kill-parent", "open-passwd", "open-beside", "open-parent-environment"], name => Assert.Equal("None", outside[name]));
        Assert.Equal("EFAULT", outside["execve"]);
        foreach (Dictionary<string, string> inside in (Dictionary<string, string>[])[Read("result"), Read("thread")])
        {
            Assert.All(s_forbidden, name => Assert.Equal("EPERM", inside[name]));
            Assert.All((string[])["open-passwd", "open-beside", "open-parent-environment"], name => Assert.Equal("EACCES", inside[name]));
            Assert.All(s_allowed, name => Assert.Equal("None", inside[name]));
        }
    }

    [Fact]
    public void Filter_and_files_without_no_new_privileges_are_refused()
    {
        // Whoever has CAP_SYS_ADMIN needs it not, and would be locked in: only ask when it is refused.
        Assert.InRange(ProcessSandbox.LandlockVersion, 1, 1000);
        if (!Environment.IsPrivilegedProcess)
        {
            Assert.Equal(Errno.EPERM, ProcessSandbox.TryRestrictFiles([]));
            Assert.Equal(Errno.EACCES, ProcessSandbox.TryFilterSystemCalls());
        }
    }

    private Dictionary<string, string> Read(string file)
        => File.ReadAllLines(Path.Combine(_folder, file)).Select(static line => line.Split(' ')).ToDictionary(static parts => parts[0], static parts => parts[1], StringComparer.Ordinal);
}

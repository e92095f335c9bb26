using System.Globalization;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Siege;

/// <summary>
/// Enters the sandbox of <see cref="ProcessSandbox"/> with one folder, tries what must not work and what must, and writes what came of each into
/// the folder's <c>result</c>: <c>NAME ERRNO</c> a line. What was tried outside of it is in <c>outside</c>.
/// </summary>
internal static partial class SandboxProbe
{
    private const string Mark = "SIEGE_SANDBOX";
    private const int Internet = 2;
    private const int Unix = 1;
    private const int Stream = 1;

    public static int Run(string folder)
    {
        if (Environment.GetEnvironmentVariable(Mark) is null)
        {
            File.WriteAllLines(Path.Combine(folder, "outside"), Try(folder));
            Check(ProcessSandbox.TryForbidNewPrivileges());
            Check(ProcessSandbox.TryRestrictFiles([.. Needed(), new SandboxPath(folder, SandboxAccess.Full), new SandboxPath("/no/such/place", SandboxAccess.Read)]));
            Check(ProcessSandbox.TryRestart((Mark, "1")));
            return 1;
        }

        // A thread that was there before the filter is filtered like the others.
        using SemaphoreSlim go = new(0);
        string[] elsewhere = [];
        Thread early = new(() =>
        {
            go.Wait();
            elsewhere = [.. Try(folder)];
        });
        early.Start();
        Check(ProcessSandbox.TryFilterSystemCalls());
        string[] here = [.. Try(folder)];
        go.Release();
        early.Join();
        File.WriteAllLines(Path.Combine(folder, "result"), here);
        File.WriteAllLines(Path.Combine(folder, "thread"), elsewhere);
        return 0;
    }

    private static IEnumerable<SandboxPath> Needed()
    {
        string root = new DirectoryInfo(RuntimeEnvironment.GetRuntimeDirectory()).Parent!.Parent!.Parent!.FullName;
        return
        [
            .. ((string[])[Environment.ProcessPath!, AppContext.BaseDirectory, root, "/lib", "/lib64", "/usr/lib", "/usr/lib64"]).Select(static path => new SandboxPath(path, SandboxAccess.ReadExecute)),
            .. ((string[])["/etc/dotnet", "/etc/ld.so.cache", string.Create(CultureInfo.InvariantCulture, $"/proc/{Environment.ProcessId}"), "/proc/meminfo", "/proc/sys/vm", "/sys/fs/cgroup", "/sys/devices/system", "/dev/urandom"]).Select(static path => new SandboxPath(path, SandboxAccess.Read)),
        ];
    }

    private static IEnumerable<string> Try(string folder)
    {
        // With arguments that are wrong on purpose: outside they are EFAULT, EINVAL, ENOENT and the like, and change nothing.
        (string Name, nint Number)[] forbidden =
        [
            ("execve", 59), ("execveat", 322), ("ptrace", 101), ("process_vm_readv", 310), ("process_vm_writev", 311), ("mount", 165), ("bpf", 321), ("init_module", 175),
            ("keyctl", 250), ("io_uring_setup", 425), ("perf_event_open", 298), ("pidfd_open", 434), ("setns", 308), ("open_by_handle_at", 304),
        ];
        foreach ((string name, nint number) in forbidden)
        {
            yield return Line(name, SystemCall(number, -1, -1, -1, -1, -1, -1));
        }

        yield return Line("socket-inet", Close(Socket(Internet, Stream, 0)));
        yield return Line("socket-unix", Close(Socket(Unix, Stream, 0)));
        yield return Line("kill-parent", Kill(ParentId(), 0));
        yield return Line("prlimit-parent", SystemCall(302, ParentId(), 7, 0, 0, 0, 0));
        yield return Line("open-passwd", Open("/etc/passwd"));
        yield return Line("open-parent-environment", Open(string.Create(CultureInfo.InvariantCulture, $"/proc/{ParentId()}/environ")));
        yield return Line("open-beside", Open(folder + ".beside"));
        yield return Line("open-inside", Open(Path.Combine(folder, "inside")));
        yield return Line("type-into-terminal", SystemCall(16, -1, 0x5412, 0, 0, 0, 0));
        Thread thread = new(static () => { });
        thread.Start();
        thread.Join();
        yield return "thread None";
        using (new MemFd("probe", 4096))
        {
            yield return "memfd None";
        }
    }

    private static string Line(string name, nint result)
    {
        // At once: to make a text of it takes calls of its own.
        Errno error = result < 0 ? (Errno)Marshal.GetLastPInvokeError() : Errno.None;
        return $"{name} {error}";
    }

    private static nint Open(string path)
    {
        Errno error = FileDescriptor.TryOpen(path, OpenMode.ReadOnly, out FileDescriptor? descriptor);
        descriptor?.Dispose();
        Marshal.SetLastPInvokeError((int)error);
        return error == Errno.None ? 0 : -1;
    }

    private static int Close(int number)
    {
        if (number >= 0)
        {
            new FileDescriptor(number, ownsHandle: true).Dispose();
        }

        return number;
    }

    private static void Check(Errno error)
    {
        if (error != Errno.None)
        {
            throw new InvalidOperationException($"The sandbox: {error}.");
        }
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SystemCall(nint number, nint a, nint b, nint c, nint d, nint e, nint f);

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    private static partial int Socket(int family, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int process, int signal);

    [LibraryImport("libc", EntryPoint = "getppid")]
    private static partial int ParentId();
}

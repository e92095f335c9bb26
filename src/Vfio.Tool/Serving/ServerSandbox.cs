using System.Globalization;
using System.Runtime.InteropServices;
using Vfio.Devices.Nvme;
using Vfio.Linux;

namespace Vfio.Tool.Serving;

/// <summary>
/// The sandbox of <c>vfio serve --sandbox</c>: the files that the devices and their sockets need and no others, no system calls but those of such
/// a server, no new privileges.
/// </summary>
/// <remarks>In two steps, since Landlock holds for threads that come later only: the process restricts its files, executes itself, and then filters its calls.</remarks>
internal static class ServerSandbox
{
    /// <summary>Holds the process's number when its files are restricted already.</summary>
    private const string Mark = "VFIO_SANDBOX";
    private static FileDescriptor? s_own;

    /// <summary>Enters it. The first time, it does not return: the program begins again.</summary>
    /// <param name="devices">What is to be served.</param>
    /// <param name="configuration">The file that is read again later, or null.</param>
    /// <exception cref="LinuxException">The kernel lacks something, or refuses; the message says what.</exception>
    public static void Enter(IReadOnlyList<ServedDevice> devices, FileInfo? configuration)
    {
        string process = Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        if (Environment.GetEnvironmentVariable(Mark) == process)
        {
            // The rule is for this folder as the kernel has it in memory: as long as it is open, it stays the same.
            _ = FileDescriptor.TryOpen("/proc/self", OpenMode.PathOnly, out s_own);
            ProcessSandbox.TryFilterSystemCalls().ThrowIfError("--sandbox: filter system calls, which takes Linux on x86-64 with CONFIG_SECCOMP_FILTER");
            return;
        }

        ProcessSandbox.TryForbidNewPrivileges().ThrowIfError("--sandbox: set no_new_privs");
        ControlSocket.MakeFolder();
        ProcessSandbox.TryRestrictFiles([.. Runtime(), .. Served(devices, configuration)])
            .ThrowIfError("--sandbox: restrict files, which takes Linux 5.13 or later with Landlock (CONFIG_SECURITY_LANDLOCK, and 'landlock' in the list of lsm=)");

        // Without the sockets by which debuggers get in.
        ProcessSandbox.TryRestart((Mark, process), ("DOTNET_EnableDiagnostics", "0")).ThrowIfError("--sandbox: execute this program anew");
    }

    /// <summary>What the program itself needs.</summary>
    private static IEnumerable<SandboxPath> Runtime()
    {
        // …/shared/Microsoft.NETCore.App/VERSION/, or with the program.
        DirectoryInfo runtime = new(RuntimeEnvironment.GetRuntimeDirectory());
        string root = runtime.Parent?.Parent is { Name: "shared", Parent: { } parent } ? parent.FullName : runtime.FullName;
        string[] libraries = (Environment.GetEnvironmentVariable("LD_LIBRARY_PATH") ?? string.Empty).Split(':', StringSplitOptions.RemoveEmptyEntries);
        return
        [
            .. ((string[])[Environment.ProcessPath ?? "/proc/self/exe", AppContext.BaseDirectory, root, "/lib", "/lib64", "/usr/lib", "/usr/lib64", .. libraries])
                .Select(static path => new SandboxPath(path, SandboxAccess.ReadExecute)),
            .. ((string[])["/etc/dotnet", "/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo", "/usr/share/icu", "/usr/share/terminfo", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/sys/vm", "/sys/fs/cgroup", "/sys/devices/system", "/dev/random", "/dev/urandom"])
                .Select(static path => new SandboxPath(path, SandboxAccess.Read)),
            new SandboxPath("/dev/null", SandboxAccess.ReadWrite),
            // Of this process only: what others have there may be read by any process of the user. Written are the names of threads.
            new SandboxPath(string.Create(CultureInfo.InvariantCulture, $"/proc/{Environment.ProcessId}"), SandboxAccess.ReadWrite),
            new SandboxPath(ControlSocket.Folder, SandboxAccess.Full),
        ];
    }

    private static IEnumerable<SandboxPath> Served(IReadOnlyList<ServedDevice> devices, FileInfo? configuration)
    {
        if (configuration is not null)
        {
            // Its folder: who writes a file anew often puts another in its place.
            yield return new SandboxPath(FolderOf(configuration.FullName), SandboxAccess.Read);
        }

        foreach (ServedDevice device in devices)
        {
            if (device.SocketPath is { } socket)
            {
                yield return new SandboxPath(FolderOf(socket), SandboxAccess.Full);
            }

            bool isReadOnly = device.Settings.Contains("readonly=on");
            foreach (string setting in device.Settings)
            {
                const string Unix = "unix:";
                int equals = setting.IndexOf('=', StringComparison.Ordinal);
                string value = setting[(equals + 1)..];
                if (equals >= 0 && setting[..equals] is "file" or "metafile" or "zonefile")
                {
                    // One that is to be made needs its folder.
                    yield return File.Exists(value)
                        ? new SandboxPath(value, isReadOnly ? SandboxAccess.Read : SandboxAccess.ReadWrite)
                        : new SandboxPath(FolderOf(value), SandboxAccess.Full);
                }
                else if (setting.StartsWith("backend", StringComparison.Ordinal))
                {
                    foreach (NvmeBackendFile file in NvmeBackendUri.Parse(value).Files)
                    {
                        yield return File.Exists(file.Path)
                            ? new SandboxPath(file.Path, file.IsReadOnly ? SandboxAccess.Read : SandboxAccess.ReadWrite)
                            : new SandboxPath(FolderOf(file.Path), SandboxAccess.Full);
                    }
                }
                else if (value.StartsWith(Unix, StringComparison.Ordinal))
                {
                    yield return new SandboxPath(FolderOf(value[Unix.Length..]), SandboxAccess.Full);
                }
                else if (value == "pty")
                {
                    yield return new SandboxPath("/dev/ptmx", SandboxAccess.ReadWrite);
                    yield return new SandboxPath("/dev/pts", SandboxAccess.ReadWrite);
                }
            }
        }
    }

    private static string FolderOf(string path) => Path.GetDirectoryName(Path.GetFullPath(path)) ?? "/";
}

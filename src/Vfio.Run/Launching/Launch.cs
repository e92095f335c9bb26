using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>The program before and while it runs: started as a stub, executed by <see cref="Execute"/>.</summary>
/// <remarks>The process is a child of the thread that started it, which must live until it ends: otherwise the kernel kills the program.</remarks>
internal sealed unsafe class Launch : IDisposable
{
    private const int MayExecute = 1;
    private readonly FileDescriptor _control;
    private readonly string _program;

    private Launch(string program, DescriptorRange range, ProcessDescriptor process, FileDescriptor control, SystemCallListener listener)
    {
        _program = program;
        Range = range;
        Process = process;
        _control = control;
        Listener = listener;
    }

    public DescriptorRange Range { get; }

    public ProcessDescriptor Process { get; }

    public SystemCallListener Listener { get; }

    /// <summary>Starts the stub and takes its listener. The stub waits for <see cref="Execute"/>.</summary>
    /// <param name="options">What to run.</param>
    /// <exception cref="VfioException">ENOENT or EACCES: there is no such program; EBUSY: another supervisor has this process; what the kernel said.</exception>
    public static Launch Start(RunOptions options)
    {
        string program = options.Program[0];
        string path = Find(program);
        ulong limit = ParentLimit();
        DescriptorRange range = DescriptorRange.For(limit);
        UnixSocket.CreatePair(out UnixSocket ours, out UnixSocket theirs);
        FileDescriptor control = ours.Descriptor;
        using (theirs)
        {
            List<string> arguments =
            [
                .. options.Launcher, ProgramStub.Command, Number(theirs.Descriptor.Number), Number(range.First), Number(range.End),
                options.TrapsRegisters ? "trace" : "plain", limit.ToString(CultureInfo.InvariantCulture), path, .. options.Program,
            ];
            Errno error = ProcessSpawner.TrySpawn(options.Launcher[0], [.. arguments.Select(ProcessSpawner.Encode)], Environment(), theirs.Descriptor, out int id);
            VfioException.ThrowIfError(error, $"start {options.Launcher[0]}", "It is the executable that becomes the program.");
            VfioException.ThrowIfError(ProcessDescriptor.TryOpen(id, out ProcessDescriptor? process), $"watch process {id}", "The program has ended already.");
            theirs.Dispose();
            return new Launch(program, range, process!, control, TakeListener(process!, control));
        }
    }

    /// <summary>Lets the stub execute the program.</summary>
    /// <exception cref="VfioException">It can't be executed; its status is then that of the stub.</exception>
    public void Execute()
    {
        int go = 1;
        _ = _control.Write(MemoryMarshal.AsBytes(new ReadOnlySpan<int>(ref go)));

        // The socket ends with the exec; a number before that is its error.
        if (ReadNumber(_control, out int failed))
        {
            throw new VfioException((Errno)(-failed), $"execute {_program}", (Errno)(-failed) switch
            {
                Errno.ENOEXEC => "It is no executable that this system knows; scripts begin with #! and an interpreter.",
                Errno.EACCES => "It is not executable, or its interpreter is not.",
                Errno.ENOENT => "Its interpreter or loader is not there.",
                _ => "The kernel refused it.",
            });
        }
    }

    public void Dispose()
    {
        Listener.Dispose();
        _control.Dispose();
        Process.Dispose();
    }

    private static SystemCallListener TakeListener(ProcessDescriptor process, FileDescriptor control)
    {
        bool told = ReadNumber(control, out int number);
        if (told && number >= 0)
        {
            VfioException.ThrowIfError(
                process.TryGetFile(number, out FileDescriptor? listener),
                "take the program's seccomp listener",
                "The kernel lets a process look into another one of the same user only (ptrace_scope may forbid even that).");
            return new SystemCallListener(listener!);
        }

        Errno error = told ? (Errno)(-number) : Errno.ESRCH;
        _ = process.TrySignal(9);
        _ = process.TryWait(out _);
        throw new VfioException(error, "put a seccomp filter on the program", error switch
        {
            Errno.EBUSY => "This process is itself under a supervisor that is told of system calls (another vfio run, some container runtimes); a kernel allows only one.",
            Errno.EINVAL => "The kernel is older than 5.19, or was built without SECCOMP_FILTER.",
            _ => "The process that was to become the program ended before.",
        });
    }

    private static bool ReadNumber(FileDescriptor control, out int number)
    {
        Span<byte> bytes = stackalloc byte[sizeof(int)];
        IoResult read = control.Read(bytes);
        number = read.Count == bytes.Length ? MemoryMarshal.Read<int>(bytes) : 0;
        return read.Count == bytes.Length;
    }

    /// <summary>Looks a program up as a shell does.</summary>
    private static string Find(string program)
    {
        if (program.Contains('/', StringComparison.Ordinal))
        {
            return File.Exists(program)
                ? program
                : throw new VfioException(Errno.ENOENT, $"run {program}", "There is no such file.");
        }

        string[] folders = (System.Environment.GetEnvironmentVariable("PATH") ?? "/usr/local/bin:/usr/bin:/bin").Split(':');
        foreach (string folder in folders)
        {
            string candidate = Path.Combine(folder.Length == 0 ? "." : folder, program);
            if (File.Exists(candidate) && Interop.Access(candidate, MayExecute) == 0)
            {
                return candidate;
            }
        }

        throw new VfioException(Errno.ENOENT, $"run {program}", $"No folder of PATH has it: {string.Join(':', folders)}.");
    }

    /// <summary>The limit that the program would have without us: our own was raised by the runtime.</summary>
    private static ulong ParentLimit()
    {
        const ulong Usual = 1024;
        int parent = 0;
        foreach (string line in File.ReadLines("/proc/self/status"))
        {
            if (line.StartsWith("PPid:", StringComparison.Ordinal))
            {
                parent = int.Parse(line.AsSpan(5).Trim(), CultureInfo.InvariantCulture);
            }
        }

        Interop.ResourceLimit limit = default;

        // SAFETY: the structure is a local.
        return parent > 0 && Interop.ProcessLimit(parent, Interop.LimitOpenFiles, null, &limit) == 0 ? limit.Soft : Usual;
    }

    private static List<byte[]> Environment()
    {
        List<byte[]> environment = [];
        foreach (string entry in Encoding.Latin1.GetString(File.ReadAllBytes("/proc/self/environ")).Split('\0', StringSplitOptions.RemoveEmptyEntries))
        {
            environment.Add(Encoding.Latin1.GetBytes(entry));
        }

        return environment;
    }

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);
}

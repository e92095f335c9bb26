using Microsoft.Extensions.Logging;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>What all threads of a supervisor share.</summary>
internal sealed partial class Supervision : IDisposable
{
    private readonly ILogger _logger;
    private readonly DirectoryInfo _folder;
    private int _closes;

    public Supervision(ProgramBus bus, RunOptions options)
    {
        Host = bus.Host;
        _logger = Host.Options.LoggerFactory.CreateLogger("Vfio.Run");
        _folder = Directory.CreateTempSubdirectory("vfio-run-");
        Files = new OpenFileTable(Host.EventLoop, _folder);
        Processes = new ProcessTable(Files, Host, options.ProgramMemory);
        Tree = new ProgramTree(bus);
        Mirror = new MirrorFolder(_folder.CreateSubdirectory("root"));
        TrapsRegisters = options.TrapsRegisters;
        Trace = options.Trace is { } writer ? new CallTrace(writer, Host) : null;
    }

    public VfioHost Host { get; }

    public OpenFileTable Files { get; }

    public ProcessTable Processes { get; }

    public ProgramTree Tree { get; }

    public MirrorFolder Mirror { get; }

    public CallTrace? Trace { get; }

    public bool TrapsRegisters { get; }

    /// <summary>The program has ended, and nothing is to be served any more.</summary>
    public bool HasEnded { get; set; }

    public ILogger Logger => _logger;

    /// <summary>A process is about to end: what devices have in place of its memory is kept for those that go on using them.</summary>
    public void Ending(int processId)
    {
        if (Processes.Get(processId) is not { } process)
        {
            return;
        }

        KeptMemory? kept = process.Memory.Keep(() =>
        [
            .. Processes.All.Where(other => other != process && other.HoldsFiles())
                .Select(static other => new KeptMemory.Sharer(other.Memory, ProcessMaps.ReadAll(other.Id))),
        ]);
        if (kept is { IsCut: true })
        {
            LogCut(processId);
        }
    }

    /// <summary>A descriptor is about to be closed.</summary>
    public void NoteClose() => Volatile.Write(ref _closes, 1);

    /// <summary>Closes what lost its last descriptor before now, so that the program's next call finds it closed.</summary>
    /// <param name="always">Also when no close was seen, which the end of a process makes as well.</param>
    public void TakeClosed(bool always = false)
    {
        if (always || Volatile.Read(ref _closes) != 0)
        {
            Volatile.Write(ref _closes, 0);
            Files.TakeClosed();
        }
    }

    public void WarnOfDuplicate(int number) => LogDuplicate(number);

    public void Dispose()
    {
        HasEnded = true;
        Files.TakeClosed();
        Processes.Dispose();
        Files.Dispose();
        try
        {
            _folder.Delete(recursive: true);
        }
        catch (IOException exception)
        {
            LogFolder(_folder.FullName, exception.Message);
        }
    }

    [LoggerMessage(1, LogLevel.Warning, "The program duplicated a descriptor of VFIO to {Number}: reads and writes of that one are not seen here, only ioctls.")]
    private partial void LogDuplicate(int number);

    [LoggerMessage(2, LogLevel.Warning, "The folder {Folder} could not be removed: {Reason}")]
    private partial void LogFolder(string folder, string reason);

    [LoggerMessage(3, LogLevel.Error, "Serving the system call {Number} failed; the program gets EIO.")]
    public partial void LogMistake(int number, Exception exception);

    [LoggerMessage(4, LogLevel.Warning, "Process {Process} ended with more memory in devices than is kept for other processes (1 GiB); a use of the rest is EFAULT.")]
    private partial void LogCut(int process);
}

using Microsoft.Extensions.Logging;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run.Tracing;

/// <summary>
/// Traces a program, its threads and its descendants: accesses to trapped memory are done on the device, and everything else happens as without a
/// tracer. One thread of its own for each program, because a tracer is a thread: no other program's stops, and no other child of this process, are seen.
/// </summary>
/// <remarks>
/// <para>
/// The traced program must have been started by other means than <see cref="System.Diagnostics.Process"/>, whose handler of SIGCHLD waits for any child.
/// The tracer waits for the program itself; its end is <see cref="Exited"/>, and nobody else can wait for it. Descendants are
/// let go when they are about to end, so that their parents see their ends as ever.
/// </para>
/// <para>The end of this process, or of the tracer's thread, kills the program and its descendants.</para>
/// </remarks>
internal sealed partial class Tracer
{
    private const TraceOptions Options =
        TraceOptions.Clone | TraceOptions.Fork | TraceOptions.VirtualFork | TraceOptions.Exec | TraceOptions.Exit | TraceOptions.KillOnExit;

    private readonly int _rootId;
    private readonly ITrappedMemory _memory;
    private readonly ILogger _logger;
    private readonly TaskCompletionSource<Errno> _seized = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<ExitStatus> _exited = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Dictionary<int, int> _processOfThread = [];

    private Tracer(int processId, ITrappedMemory memory, ILogger logger)
    {
        _rootId = processId;
        _memory = memory;
        _logger = logger;
    }

    /// <summary>Ends with the program (not with its descendants).</summary>
    public Task<ExitStatus> Exited => _exited.Task;

    /// <summary>Seizes a process and traces it from then on. It is not stopped.</summary>
    /// <param name="processId">A child of this process, not yet traced.</param>
    /// <param name="memory">What its addresses are.</param>
    /// <param name="logger">Is told what is refused, and why.</param>
    /// <returns>The tracer; all threads that the process had are traced.</returns>
    /// <exception cref="LinuxException">EPERM: it is traced already, or tracing is forbidden here. ESRCH: it has ended.</exception>
    public static Tracer Start(int processId, ITrappedMemory memory, ILogger logger)
    {
        Tracer tracer = new(processId, memory, logger);
        Thread thread = new(tracer.Run) { IsBackground = true, Name = $"tracer of {processId}" };
        thread.Start();
        tracer._seized.Task.GetAwaiter().GetResult().ThrowIfError($"trace process {processId}");
        return tracer;
    }

    private void Run()
    {
        Errno error = SeizeAll();
        _seized.SetResult(error);
        if (error != Errno.None)
        {
            return;
        }

        while (ThreadTrace.Wait(out int threadId, out TraceStop stop) == Errno.None)
        {
            if (stop.IsStopped)
            {
                OnStop(threadId, stop);
            }
            else
            {
                OnEnd(threadId, stop);
            }
        }

        // The kernel tells the end of each tracee before it says that there is none left.
        _exited.TrySetResult(new ExitStatus(0, Signals.Kill));
    }

    private Errno SeizeAll()
    {
        Errno error = ThreadTrace.Seize(_rootId, Options);
        if (error != Errno.None)
        {
            return error;
        }

        // Threads that it has already; those it creates from now on come by themselves if their creator is seized. Repeated until nothing new is found.
        HashSet<int> seen = [_rootId];
        bool any = true;
        while (any)
        {
            any = false;
            foreach (string path in ThreadsOf(_rootId))
            {
                int threadId = int.Parse(Path.GetFileName(path.AsSpan()), System.Globalization.CultureInfo.InvariantCulture);
                if (seen.Add(threadId))
                {
                    // EPERM: seized by its creator's seizure meanwhile. ESRCH: it has ended.
                    any |= ThreadTrace.Seize(threadId, Options) == Errno.None;
                }
            }
        }

        return Errno.None;
    }

    private static string[] ThreadsOf(int processId)
    {
        try
        {
            return Directory.GetDirectories($"/proc/{processId}/task");
        }
        catch (IOException)
        {
            return [];
        }
    }

    private void OnStop(int threadId, TraceStop stop)
    {
        switch (stop.Event)
        {
            case TraceEvent.None:
                OnSignal(threadId, stop.Signal);
                break;
            case TraceEvent.Stop when Signals.StopsGroup(stop.Signal):
                ThreadTrace.Listen(threadId);
                break;
            case TraceEvent.Exec:
                OnExec(threadId);
                ThreadTrace.Continue(threadId, 0);
                break;
            case TraceEvent.Exit:
                OnExit(threadId);
                break;
            default:
                ThreadTrace.Continue(threadId, 0);
                break;
        }
    }

    private void OnSignal(int threadId, int signal) => ThreadTrace.Continue(threadId, signal);

    private void OnExec(int threadId)
    {
        // The thread that called has the process's number from now on.
        if (ThreadTrace.TryGetEventMessage(threadId, out ulong former) == Errno.None)
        {
            _processOfThread.Remove((int)former);
        }

        _processOfThread[threadId] = threadId;
        _memory.Forget(threadId);
    }

    /// <summary>
    /// A tracee's end is told to its tracer first, and to its parent only after that. A parent that polls a pidfd and then calls waitpid without
    /// waiting would find nothing; so it ends untraced. The program itself is our own child and stays.
    /// </summary>
    private void OnExit(int threadId)
    {
        int processId = ProcessOf(threadId);
        _processOfThread.Remove(threadId);
        if (threadId == processId)
        {
            _memory.Forget(processId);
        }

        if (threadId == _rootId)
        {
            ThreadTrace.Continue(threadId, 0);
        }
        else
        {
            // ESRCH: killed in this stop. Its end is waited for then.
            ThreadTrace.Detach(threadId);
        }
    }

    private void OnEnd(int threadId, TraceStop stop)
    {
        if (_processOfThread.Remove(threadId, out int processId) && processId == threadId)
        {
            _memory.Forget(threadId);
        }

        if (threadId == _rootId)
        {
            _exited.TrySetResult(new ExitStatus(stop.IsExited ? stop.ExitCode : 0, stop.TerminationSignal));
        }
    }

    private int ProcessOf(int threadId)
    {
        if (!_processOfThread.TryGetValue(threadId, out int processId))
        {
            processId = ThreadStatus.TryRead(threadId, out ThreadStatus status) ? status.ProcessId : threadId;
            _processOfThread[threadId] = processId;
        }

        return processId;
    }
}

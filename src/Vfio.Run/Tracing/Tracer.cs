using Microsoft.Extensions.Logging;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>
/// Traces the program: maps what it maps of devices, and executes instructions that access what is no memory. One thread of its own does all of it, as ptrace
/// wants.
/// </summary>
/// <remarks>
/// A device's stand-in is an empty file, so that an access to it is a SIGBUS, of which the tracer hears first. Everything else that happens to a traced thread
/// is passed on as it would be without a tracer. A thread that ends is let go before, so that its parent finds its end as usual.
/// </remarks>
internal sealed partial class Tracer : IDisposable
{
    private const int SignalIllegal = 4;
    private const int SignalTrap = 5;
    private const int SignalBus = 7;
    private const int SignalFloatingPoint = 8;
    private readonly Supervision _supervision;
    private readonly Dictionary<int, int> _statuses = [];
    private readonly Dictionary<int, int> _processes = [];
    private readonly Emulator _emulator;
    private readonly ManualResetEventSlim _started = new();
    private Errno _error;

    private Tracer(Supervision supervision)
    {
        _emulator = new Emulator(supervision.Trace);
        _supervision = supervision;
    }

    /// <summary>Begins to trace a process that has one thread.</summary>
    /// <exception cref="VfioException">EPERM: something else traces it, or the system forbids it.</exception>
    public static Tracer Start(Supervision supervision, int processId)
    {
        Tracer tracer = new(supervision);
        Thread thread = new(() => tracer.Run(processId)) { Name = "vfio tracer", IsBackground = true };
        thread.Start();
        tracer._started.Wait();
        VfioException.ThrowIfError(
            tracer._error, "trace the program", "Its registers are trapped by ptrace, which something forbids (a debugger, ptrace_scope); --no-mmio-trap does without.");
        return tracer;
    }

    /// <summary>The exit status of a process whose end came to the tracer; null when its parent has it.</summary>
    public int? StatusOf(int processId)
    {
        lock (_statuses)
        {
            return _statuses.TryGetValue(processId, out int status) ? status : null;
        }
    }

    public void Dispose() => _started.Dispose();

    private void Run(int processId)
    {
        using Emulator emulator = _emulator;
        _error = ThreadTracing.TrySeize(processId);
        _started.Set();
        if (_error != Errno.None)
        {
            return;
        }

        int thread;
        while ((thread = ThreadTracing.Wait(out int status)) != 0)
        {
            Handle(thread, status);
        }
    }

    private void Handle(int thread, int status)
    {
        if ((status & 0xFF) != 0x7F)
        {
            // It ended without being let go before, as SIGKILL does it.
            lock (_statuses)
            {
                _statuses[thread] = (status & 0x7F) == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F);
            }

            return;
        }

        int signal = (status >> 8) & 0xFF;
        switch ((TraceEvent)(status >> 16))
        {
            case TraceEvent.Exit:
                _supervision.Ending(thread);
                _processes.Remove(thread);
                _ = ThreadTracing.Detach(thread);
                break;
            case TraceEvent.Exec:
                _processes.Remove(thread);
                _supervision.Processes.Find(thread)?.Executed();
                _ = ThreadTracing.Resume(thread);
                break;
            case TraceEvent.Filter:
                Map(thread);
                break;
            case TraceEvent.Fork or TraceEvent.VFork or TraceEvent.Clone:
                _ = ThreadTracing.Resume(thread);
                break;
            case TraceEvent.Stop:
                _ = signal == SignalTrap ? ThreadTracing.Resume(thread) : ThreadTracing.Listen(thread);
                break;
            default:
                OnSignal(thread, signal);
                break;
        }
    }

    private void OnSignal(int thread, int signal)
    {
        switch (signal)
        {
            case SignalBus or SignalIllegal when TryExecute(thread, signal):
                break;
            default:
                SignalPassing.Pass(thread, ProcessOf(thread), signal);
                break;
        }
    }

    /// <summary>Executes the instruction that a thread stands at, when it is an access to a device.</summary>
    private bool TryExecute(int thread, int signal)
    {
        if (ThreadTracing.ReadSignal(thread, out Interop.SignalInformation information) != Errno.None || information.Code <= 0
            || _supervision.Processes.Find(thread) is not { } process)
        {
            return false;
        }

        // An instruction that the processor does not have says nothing of its address yet.
        EmulationResult result = signal == SignalIllegal
            ? _emulator.TryEmulateUnknown(thread, process)
            : _emulator.TryEmulate(thread, process, information.Address);
        switch (result)
        {
            case EmulationResult.Done or EmulationResult.Gone:
                _ = ThreadTracing.Resume(thread);
                return true;
            case EmulationResult.DivideError:
                _ = ThreadTracing.Resume(thread, SignalFloatingPoint);
                return true;
            case EmulationResult.NotTrapped:
                return false;
            default:
                LogRefused(
                    _supervision.Logger,
                    _emulator.Last?.ToString() ?? $"code at 0x{information.Address:x} that is not of 64 bits or cannot be read",
                    result == EmulationResult.Failed ? "memory that it also touches is not there" : _emulator.Last?.Refusal ?? "its operand is elsewhere");
                return false;
        }
    }

    private void Map(int thread)
    {
        if (_supervision.Processes.Find(thread) is { } process)
        {
            MapExecutor.Execute(thread, process);
        }

        _ = ThreadTracing.Resume(thread);
    }

    private int ProcessOf(int thread)
    {
        if (!_processes.TryGetValue(thread, out int process))
        {
            process = ProcessFiles.GetProcessOf(thread);
            _processes.Add(thread, process);
        }

        return process;
    }

    [LoggerMessage(10, LogLevel.Error, "The program accessed a device by {Instruction}, which can't be executed on one here: {Reason}")]
    private static partial void LogRefused(ILogger logger, string instruction, string reason);
}

using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>
/// Runs a program whose VFIO is the core's of this process: it opens <c>/dev/vfio</c> and <c>/dev/iommu</c>, looks into sysfs and maps BARs as it would on a
/// machine with such devices, and needs neither privileges nor modules nor an IOMMU.
/// </summary>
/// <remarks>
/// Its system calls come by seccomp's notifications; what it maps is trapped by ptrace. One process may run several programs, each with a supervisor of its own.
/// </remarks>
public static class ProgramSupervisor
{
    /// <summary>How many calls can be served at once, when all of them take long.</summary>
    private const int MaximumServers = 64;

    private const PosixSignal WindowChange = (PosixSignal)28;

    private static readonly PosixSignal[] s_forwarded =
    [
        PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP, PosixSignal.SIGQUIT, WindowChange, (PosixSignal)10, (PosixSignal)12,
    ];

    /// <summary>Runs a program to its end. Blocks the calling thread, whose child it is.</summary>
    /// <param name="bus">The devices that it finds.</param>
    /// <param name="options">The program.</param>
    /// <returns>Its exit status; 128 and the signal's number when a signal ended it.</returns>
    /// <exception cref="VfioException">The program could not be started.</exception>
    public static int Run(ProgramBus bus, RunOptions options)
    {
        using Supervision supervision = new(bus, options);
        using Launch launch = Launch.Start(options);
        int servers = 0;
        using ReceiverTurn turn = new(StartServer);
        StartServer(turn);
        using Tracer? tracer = options.TrapsRegisters ? Tracer.Start(supervision, launch.Process.ProcessId) : null;
        List<PosixSignalRegistration> signals = [.. s_forwarded.Select(signal => Forward(signal, launch.Process))];
        try
        {
            launch.Execute();
            return Wait(launch, tracer);
        }
        catch (VfioException)
        {
            _ = Wait(launch, tracer);
            throw;
        }
        finally
        {
            supervision.HasEnded = true;
            signals.ForEach(static signal => signal.Dispose());
        }

        void StartServer(ReceiverTurn turn)
        {
            if (servers < MaximumServers)
            {
                CallServer server = new(supervision, launch.Listener, launch.Range, turn);
                new Thread(server.Run) { Name = $"vfio run {++servers}", IsBackground = true }.Start();
            }
        }
    }

    private static int Wait(Launch launch, Tracer? tracer)
    {
        Errno error = launch.Process.TryWait(out int status);
        return error == Errno.None ? status : tracer?.StatusOf(launch.Process.ProcessId) ?? -1;
    }

    // The terminal sends its signals to the program as well, which is in the same group: only what was sent to this process alone is passed on.
    private static PosixSignalRegistration Forward(PosixSignal signal, ProcessDescriptor program) => PosixSignalRegistration.Create(signal, context =>
    {
        context.Cancel = true;
        if (signal is not (PosixSignal.SIGINT or PosixSignal.SIGQUIT or WindowChange) || !Terminal.IsForeground)
        {
            _ = program.TrySignal(Number(signal));
        }
    });

    private static int Number(PosixSignal signal) => signal switch
    {
        PosixSignal.SIGHUP => 1,
        PosixSignal.SIGINT => 2,
        PosixSignal.SIGQUIT => 3,
        PosixSignal.SIGTERM => 15,
        _ => (int)signal,
    };
}

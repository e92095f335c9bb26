using System.Runtime.InteropServices;

namespace Vfio.Tool;

/// <summary>
/// Turns SIGTERM, SIGINT and SIGHUP into a cancellation, so that what was made is taken back before the process ends. SIGHUP may mean something else.
/// </summary>
internal sealed class Termination : IDisposable
{
    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration[] _registrations;

    /// <summary>Starts to listen for the signals.</summary>
    /// <param name="hangUp">What SIGHUP does instead of ending the process; null to end it.</param>
    public Termination(Action? hangUp = null)
    {
        _registrations =
        [
            PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop),
            PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop),
            PosixSignalRegistration.Create(PosixSignal.SIGHUP, hangUp is null ? Stop : context =>
            {
                context.Cancel = true;
                hangUp();
            }),
        ];
    }

    /// <summary>Is cancelled at the first of these signals.</summary>
    public CancellationToken Token => _source.Token;

    public void Dispose()
    {
        foreach (PosixSignalRegistration registration in _registrations)
        {
            registration.Dispose();
        }

        _source.Dispose();
    }

    private void Stop(PosixSignalContext context)
    {
        context.Cancel = true;
        _source.Cancel();
    }
}

using System.Runtime.InteropServices;

namespace Vfio.Tool;

/// <summary>Turns SIGTERM, SIGINT and SIGHUP into a cancellation, so that what was made is taken back before the process ends.</summary>
internal sealed class Termination : IDisposable
{
    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration[] _registrations;

    public Termination()
    {
        _registrations = Array.ConvertAll([PosixSignal.SIGTERM, PosixSignal.SIGINT, PosixSignal.SIGHUP], signal => PosixSignalRegistration.Create(signal, Stop));
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

using Vfio.Abi;

namespace Vfio.Drivers.Serial;

/// <summary>
/// A user-space driver for PCI cards with 16550A ports: QEMU's <c>pci-serial</c> family and everything register-compatible, on any connection.
/// </summary>
/// <remarks>Owns the connection it was made on. Each port is used by one sender and one receiver at a time; ports do not disturb each other.</remarks>
public sealed class SerialDriver : IAsyncDisposable
{
    private readonly VfioConnection _connection;
    private readonly InterruptSet _interrupt;
    private readonly CancellationTokenSource _stop = new();
    private readonly SerialPort[] _ports;
    private readonly Task _service;

    private SerialDriver(VfioConnection connection, InterruptSet interrupt, SerialPort[] ports)
    {
        _connection = connection;
        _interrupt = interrupt;
        _ports = ports;
        _service = Task.Run(ServeAsync);
    }

    /// <summary>The card's ports.</summary>
    public IReadOnlyList<SerialPort> Ports => _ports;

    /// <summary>Takes hold of a card: checks what it is, resets it, sets every port to eight bits with FIFOs on, and turns on the interrupt.</summary>
    /// <param name="connection">The connection; the driver owns it from here, also when this throws.</param>
    /// <returns>The driver.</returns>
    /// <exception cref="VfioException">The device is no such card, has no interrupt, or does not answer.</exception>
    public static SerialDriver Open(VfioConnection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        try
        {
            (int bar, int count) = Identify(connection);
            if ((connection.Info.Flags & DeviceFlags.Reset) != 0)
            {
                connection.Reset();
            }

            connection.Pci.Enable(PciCommand.IoSpace);
            SerialPort[] ports = [.. Enumerable.Range(0, count).Select(i => new SerialPort(connection, connection.Bar(bar), (ulong)i * SerialRegister.Stride))];
            foreach (SerialPort port in ports)
            {
                port.Start();
            }

            return new SerialDriver(connection, connection.EnableInterrupts(PciInterrupt.Intx), ports);
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>Turns the ports and the interrupt off and releases the card. What was not sent yet is lost; see <see cref="SerialPort.DrainAsync"/>.</summary>
    /// <returns>A task that completes when the card is released.</returns>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _service.ConfigureAwait(false);
        foreach (SerialPort port in _ports)
        {
            port.Stop();
        }

        _interrupt.Dispose();
        await _connection.DisposeAsync().ConfigureAwait(false);
        _stop.Dispose();
    }

    private static (int Bar, int Ports) Identify(VfioConnection connection)
    {
        PciFunctionConfig pci = connection.Pci;
        (ushort vendor, ushort device) = (pci.VendorId, pci.DeviceId);
        (int bar, int ports) = (vendor, device) switch
        {
            (0x1B36, 0x0002) => (0, 1),
            (0x1B36, 0x0003) => (0, 2),
            (0x1B36, 0x0004) => (0, 4),
            (0x135E, 0x7801) => (2, 8),
            _ => (0, 0),
        };
        return ports > 0 && connection.Bar(bar).Size >= (ulong)ports * SerialRegister.Stride
            ? (bar, ports)
            : throw new VfioException(
                Errno.ENODEV,
                $"drive {connection.Address} as a serial card",
                ports == 0
                    ? $"It is {vendor:x4}:{device:x4}; known are 1b36:0002, 1b36:0003, 1b36:0004 and 135e:7801."
                    : $"Its BAR {bar} has {connection.Bar(bar).Size} bytes, too few for {ports} ports.");
    }

    private async Task ServeAsync()
    {
        try
        {
            while (true)
            {
                await _interrupt[0].WaitAsync(_stop.Token).ConfigureAwait(false);

                // The pin is one for all ports: until none has a cause any more.
                bool any;
                do
                {
                    any = false;
                    foreach (SerialPort port in _ports)
                    {
                        any |= port.Serve();
                    }
                }
                while (any && !_stop.IsCancellationRequested);
                _interrupt.Unmask();
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Disposed.
        }
        catch (VfioException exception)
        {
            // The device has gone: whoever waits for a port is told.
            foreach (SerialPort port in _ports)
            {
                port.Fail(exception);
            }
        }
    }
}

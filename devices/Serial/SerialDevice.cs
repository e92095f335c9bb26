using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Devices.Serial;

/// <summary>
/// A PCI card with 1, 2, 4 or 8 serial ports of type 16550A, all in one I/O BAR and on one interrupt pin, with ids that the Linux driver
/// <c>8250_pci</c> knows. The README has the register table.
/// </summary>
public sealed class SerialDevice : VfioPciDevice
{
    private const ulong PortSize = 8;
    private readonly Uart[] _ports;
    private readonly DeviceWork[] _works;
    private bool _isInitialized;

    /// <summary>Makes the card and opens the other ends of its lines.</summary>
    /// <param name="options">Settings; null for one port that goes nowhere.</param>
    /// <exception cref="ArgumentOutOfRangeException">The number of ports is not 1, 2, 4 or 8.</exception>
    /// <exception cref="Vfio.Linux.LinuxException">The other end of a line cannot be opened.</exception>
    public SerialDevice(SerialOptions? options = null)
    {
        options ??= new SerialOptions();
        if (options.Ports is not (1 or 2 or 4 or 8))
        {
            throw new ArgumentOutOfRangeException(nameof(options), options.Ports, "A serial card has 1, 2, 4 or 8 ports.");
        }

        _ports = new Uart[options.Ports];
        _works = new DeviceWork[options.Ports];
        try
        {
            for (int i = 0; i < _ports.Length; i++)
            {
                int port = i;
                ISerialBackend backend = i < options.Backends.Count ? options.Backends[i]() : new NullBackend();
                _ports[i] = new Uart(backend, () => _works[port]?.Schedule(), UpdateInterrupt);
            }
        }
        catch
        {
            DisposeBackends();
            throw;
        }
    }

    /// <summary>The other ends of the lines, by port.</summary>
    public IReadOnlyList<ISerialBackend> Lines => Array.ConvertAll(_ports, port => port.Backend);

    /// <summary>The rate that software has set; the model does not keep to it.</summary>
    /// <param name="port">The port.</param>
    /// <returns>Bits a second.</returns>
    public int BaudRate(int port)
    {
        lock (StateLock)
        {
            return _ports[port].BaudRate;
        }
    }

    /// <inheritdoc/>
    protected override void Configure(PciDeviceBuilder pci)
    {
        ArgumentNullException.ThrowIfNull(pci);
        (ushort vendor, ushort device, int bar) = _ports.Length switch
        {
            1 => ((ushort)0x1B36, (ushort)0x0002, 0),
            2 => ((ushort)0x1B36, (ushort)0x0003, 0),
            4 => ((ushort)0x1B36, (ushort)0x0004, 0),
            _ => ((ushort)0x135E, (ushort)0x7801, 2),
        };

        // Linux guesses the ports of a 16550 controller with one I/O BAR from the BAR's length, but refuses to guess for a
        // multiport controller. The card with eight ports is in its table, where a guess that agrees would make it complain.
        (byte subClass, byte programmingInterface) = _ports.Length == 8 ? ((byte)0x02, (byte)0x00) : ((byte)0x00, (byte)0x02);
        pci.Id(vendor, device, revision: 1)
            .Subsystem(vendor, device)
            .Class(0x07, subClass, programmingInterface)
            .Intx()
            .Bar(bar, PortSize * (ulong)_ports.Length, PciBarKind.Io, prefetchable: false, area =>
            {
                for (int i = 0; i < _ports.Length; i++)
                {
                    area.Registers(PortSize * (ulong)i, _ports[i]);
                }
            })
            .Migratable();
        for (int i = 0; i < _ports.Length; i++)
        {
            Uart port = _ports[i];
            DeviceWork work = _works[i] = CreateWork($"port {i}", _ => Transfer(port));
            port.Backend.Start(Host.EventLoop, work.Schedule);
            SerialLog.LineReady(Logger, Name, i, port.Backend.Address);
        }

        _isInitialized = true;
    }

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind) => UpdateInterrupt();

    /// <inheritdoc/>
    protected override void SaveState(DeviceStateWriter writer)
    {
        foreach (Uart port in _ports)
        {
            port.SaveQueues(writer);
        }
    }

    /// <inheritdoc/>
    protected override Errno TryRestoreState(ref DeviceStateReader reader)
    {
        Errno error = Errno.None;
        foreach (Uart port in _ports)
        {
            error = error == Errno.None ? port.TryRestoreQueues(ref reader) : error;
        }

        return error;
    }

    /// <inheritdoc/>
    protected override void OnContinued(bool isRestored)
    {
        UpdateInterrupt();
        foreach (DeviceWork work in _works)
        {
            // The line may have changed meanwhile, and is another one after a migration.
            work.Schedule();
        }
    }

    /// <inheritdoc/>
    protected override void OnDisposed() => DisposeBackends();

    private void Transfer(Uart port)
    {
        lock (StateLock)
        {
            port.Transfer();
            UpdateInterrupt();
        }
    }

    private void UpdateInterrupt()
    {
        if (!_isInitialized)
        {
            return;
        }

        bool level = false;
        foreach (Uart port in _ports)
        {
            level |= port.IsInterrupting;
        }

        Interrupts.SetIntx(level);
    }

    private void DisposeBackends()
    {
        foreach (Uart? port in _ports)
        {
            port?.Backend.Dispose();
        }
    }
}

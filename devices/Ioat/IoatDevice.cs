using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Devices.Ioat;

/// <summary>
/// A DMA copy engine with the ids of Intel's in Skylake servers (I/OAT, CBDMA 3.3): channels follow chains of descriptors that copy and fill memory,
/// and tell their completions in memory and by interrupt. Linux' <c>ioatdma</c> and DPDK's <c>dmadev_ioat</c> know it. The README has the register table.
/// </summary>
public sealed class IoatDevice : VfioPciDevice
{
    private const ulong BarSize = 0x4000;
    private const ulong ChannelSize = 0x80;
    private readonly IoatRegisters _registers;
    private readonly IoatChannel[] _channels;

    /// <summary>Makes the device.</summary>
    /// <param name="options">Settings; null for one channel and transfers of 4096 bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">The settings are none that the registers can express.</exception>
    public IoatDevice(IoatOptions? options = null)
    {
        Options = options ?? new IoatOptions();
        if (Options.Problem() is { } problem)
        {
            throw new ArgumentOutOfRangeException(nameof(options), problem);
        }

        _registers = new IoatRegisters(this);
        _channels = new IoatChannel[Options.Channels];
        for (int i = 0; i < _channels.Length; i++)
        {
            _channels[i] = new IoatChannel(this, i);
        }
    }

    internal IoatOptions Options { get; }

    /// <summary>Shows that a channel interrupts, or no longer does.</summary>
    internal void Attend(int channel, bool interrupts) => _registers.Attend(channel, interrupts);

    /// <summary>Sends a channel's message of MSI-X, for which the master enable has no meaning.</summary>
    internal void Message(int channel)
    {
        if (Interrupts.Mode == InterruptMode.Msix)
        {
            Interrupts.Signal(channel);
        }
    }

    /// <summary>Drives the pin, or the one message of MSI.</summary>
    internal void Drive(bool was, bool level)
    {
        Interrupts.SetIntx(level);
        if (level && !was && Interrupts.Mode == InterruptMode.Msi)
        {
            Interrupts.Signal(0);
        }
    }

    /// <summary>Logs that a channel halted, at a limited rate.</summary>
    internal void LogHalt(int channel, ChannelErrors error, ulong address)
    {
        if (TryLog(out long swallowed))
        {
            IoatLog.Halted(Logger, Name, channel, error, address, swallowed);
        }
    }

    /// <inheritdoc/>
    protected override void Configure(PciDeviceBuilder pci)
    {
        ArgumentNullException.ThrowIfNull(pci);
        pci.Id(vendor: 0x8086, device: 0x2021, revision: 4)
            .Subsystem(0x8086, 0x0000)
            .Class(0x08, 0x80)
            .Intx()
            .Bar(0, BarSize, PciBarKind.Memory64, prefetchable: false, area =>
            {
                area.Registers(0, _registers);
                for (int i = 0; i < _channels.Length; i++)
                {
                    area.Registers(ChannelSize * (ulong)(i + 1), _channels[i].Registers);
                }
            })
            .PciExpress()
            .PowerManagement()
            .Msi(vectors: 1)
            .Msix(_channels.Length, bar: 0, tableOffset: 0x2000, pbaOffset: 0x3000)
            .Aer(offset: 0x100)

            // CHANERR_INT at 0x180 and CHANERRMSK_INT at 0x184, which the driver of Linux reads and writes, are here as scratch bytes.
            .VendorExtended(0x0021, revision: 0, new byte[8], [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], offset: 0x178)
            .Migratable();
        for (int i = 0; i < _channels.Length; i++)
        {
            _channels[i].Attach(CreateWork($"channel {i}", _channels[i].Run));
        }
    }

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind)
    {
        foreach (IoatChannel channel in _channels)
        {
            channel.Forget();
        }

        Interrupts.SetIntx(false);
    }

    /// <inheritdoc/>
    protected override void SaveIdentity(DeviceStateWriter writer)
    {
        writer.WriteByte((byte)_channels.Length);
        writer.WriteUInt32((uint)Options.LongestTransfer);
    }

    /// <inheritdoc/>
    protected override void SaveState(DeviceStateWriter writer)
    {
        foreach (IoatChannel channel in _channels)
        {
            channel.Save(writer);
        }
    }

    /// <inheritdoc/>
    protected override Errno TryRestoreState(ref DeviceStateReader reader)
    {
        foreach (IoatChannel channel in _channels)
        {
            channel.Restore(ref reader);
        }

        return reader.IsBroken ? Errno.EINVAL : Errno.None;
    }

    /// <inheritdoc/>
    protected override void OnContinued(bool isRestored)
    {
        if (!isRestored)
        {
            return;
        }

        Drive(was: false, _registers.IsAsserted);
        foreach (IoatChannel channel in _channels)
        {
            channel.TellAgain();
        }
    }
}

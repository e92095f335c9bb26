using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Devices.Igb;

/// <summary>
/// A gigabit Ethernet controller that is register-compatible with Intel's 82576: sixteen queues, offloads, filters, RSS. Linux' <c>igb</c> and DPDK's
/// <c>net_e1000_igb</c> drive it. Its packets go to an <see cref="IPacketBackend"/>. The README has the register tables.
/// </summary>
public sealed partial class IgbDevice : VfioPciDevice
{
    internal const ushort DeviceId = 0x10C9;
    internal const ushort SubsystemId = 0xA03C;
    private const int Vectors = 10;
    private const uint LinkStatusChanged = 1U << 2;
    private const uint BusMasterDisable = 1U << 2;
    private const uint ResetControl = 1U << 26;
    private const uint PhyReset = 1U << 31;
    private readonly Receiver _receiver;
    private readonly Transmitter _transmitter;
    private readonly IPacketBackend _backend;
    private readonly RegisterFile[] _files;
    private DeviceWork? _work;
    private volatile bool _startsReceiving;
    private volatile bool _isBusMaster;
    private bool _isPlugged;

    /// <summary>Makes the device.</summary>
    /// <param name="options">Settings; null for a link with nobody on it.</param>
    /// <exception cref="ArgumentOutOfRangeException">The settings are none that a device can have.</exception>
    public IgbDevice(IgbOptions? options = null)
    {
        Options = (options ?? new IgbOptions()).Complete();
        if (Options.Problem() is { } problem)
        {
            throw new ArgumentOutOfRangeException(nameof(options), problem);
        }

        General = new GeneralRegisters(this);
        Causes = new CauseRegisters(this);
        Filters = new FilterRegisters(this);
        ReceiveQueues = new ReceiveQueueRegisters(this);
        TransmitQueues = new TransmitQueueRegisters(this);
        _files = [General, Causes, Buffers, Switch, Statistics, Filters, Miscellaneous, ReceiveQueues, TransmitQueues];
        Alarms = new IgbInterrupts(this);
        Mailboxes = new IgbMailboxes(this);
        Nvm = new IgbNvm(Options.AddressValue);
        Phy = new IgbPhy(this);
        Buffer = new FrameBuffer(Options.BufferSize);
        _receiver = new Receiver(this);
        _transmitter = new Transmitter(this);
        _isPlugged = Options.IsLinkUp;
        _backend = Options.Backend?.Invoke() ?? new NullPacketBackend();
    }

    internal IgbOptions Options { get; }

    internal GeneralRegisters General { get; }

    internal CauseRegisters Causes { get; }

    internal BufferRegisters Buffers { get; } = new();

    internal SwitchRegisters Switch { get; } = new();

    internal StatisticsRegisters Statistics { get; } = new();

    internal FilterRegisters Filters { get; }

    internal MiscellaneousRegisters Miscellaneous { get; } = new();

    internal ReceiveQueueRegisters ReceiveQueues { get; }

    internal TransmitQueueRegisters TransmitQueues { get; }

    internal IgbInterrupts Alarms { get; }

    internal IgbMailboxes Mailboxes { get; }

    internal IgbNvm Nvm { get; }

    internal IgbPhy Phy { get; }

    internal FrameBuffer Buffer { get; }

    /// <summary>Whether queues are given to pools.</summary>
    internal bool HasPools => _receiver.Filter.HasPools;

    /// <summary>Whether the PHY has a link.</summary>
    internal bool IsLinkUp => _isPlugged && _backend.IsUp && !Phy.IsPoweredDown;

    /// <summary>Ticks of the host's clock.</summary>
    internal long Now => Host.TimeProvider.GetTimestamp();

    /// <summary>The free running timer.</summary>
    internal uint Microseconds => (uint)(ulong)Host.TimeProvider.GetElapsedTime(0).TotalMicroseconds;

    /// <summary>Plugs the cable in, or pulls it out. Software learns of it as from the hardware, by an interrupt.</summary>
    /// <param name="isUp">Whether it is plugged in.</param>
    public void SetLink(bool isUp)
    {
        lock (StateLock)
        {
            if (_isPlugged != isUp)
            {
                _isPlugged = isUp;
                LinkChanged();
            }
        }
    }

    internal TimeSpan Since(long timestamp) => Host.TimeProvider.GetElapsedTime(timestamp);

    /// <summary>The PHY's link, or what it tells of it, is another one. Caller holds the state lock.</summary>
    internal void LinkChanged()
    {
        IgbLog.Link(Logger, Name, IsLinkUp ? "up" : "down");
        Causes.Raise(LinkStatusChanged);
        _work?.Schedule();
    }

    internal uint ReadStatus()
        => 0x0020_0001U | ((uint)VirtualFunctionCount << 14) | (VirtualFunctionCount != 0 ? 1U << 18 : 0) | (IsLinkUp ? 2U : 0) | 0x80U | ((General.Control & BusMasterDisable) != 0 ? 0 : 0x8_0000U);

    /// <summary>CTRL is written.</summary>
    /// <returns>Its new content.</returns>
    internal uint WriteControl(uint value, uint old)
    {
        if ((value & ResetControl) != 0)
        {
            _work!.Cancel();
            foreach (RegisterFile file in _files)
            {
                file.Reset(ResetKind.DeviceReset);
            }

            Forget();
            return General.Control;
        }

        if ((value & ~old & PhyReset) != 0)
        {
            Phy.Reset();
            LinkChanged();
        }

        return value;
    }

    internal void ReceiveChanged(bool isOn)
    {
        _startsReceiving |= isOn;
        _work?.Schedule();
    }

    /// <summary>There may be something to send or to receive.</summary>
    internal void Wake() => _work?.Schedule();

    internal void TransmitEnabled(int queue)
    {
        _transmitter.Reset(queue);
        _work?.Schedule();
    }

    /// <summary>Sends the message of a vector. Caller holds the state lock.</summary>
    internal void TellVector(int vector)
    {
        Statistics.Interrupts++;
        if (Interrupts.Mode == InterruptMode.Msix)
        {
            Interrupts.Signal(vector);
        }
    }

    internal void LogReceive(int queue, ulong address, Errno error)
    {
        if (TryLog(out long swallowed))
        {
            IgbLog.ReceiveFailed(Logger, Name, queue, address, error, swallowed);
        }
    }

    internal void LogTransmit(int queue, ulong address, Errno error)
    {
        if (TryLog(out long swallowed))
        {
            IgbLog.TransmitFailed(Logger, Name, queue, address, error, swallowed);
        }
    }

    /// <inheritdoc/>
    protected override void Configure(PciDeviceBuilder pci)
    {
        ArgumentNullException.ThrowIfNull(pci);
        pci.Id(vendor: 0x8086, device: DeviceId, revision: 1)
            .Subsystem(0x8086, SubsystemId)
            .Class(0x02, 0x00)
            .Intx()
            .Bar(0, 0x2_0000, PciBarKind.Memory32, prefetchable: false, area => area
                .Registers(0x0000, General)
                .Registers(0x1500, Causes)
                .Registers(0x2000, Buffers)
                .Registers(0x2800, new QueueAlias("igb receive queues at 0x2800", ReceiveQueues))
                .Registers(0x3400, Switch)
                .Registers(0x3800, new QueueAlias("igb transmit queues at 0x3800", TransmitQueues))
                .Registers(0x4000, Statistics)
                .Registers(0x5000, Filters)
                .Registers(0x8000, Miscellaneous)
                .Registers(0xC000, ReceiveQueues)
                .Registers(0xE000, TransmitQueues))
            .Bar(3, 0x4000, PciBarKind.Memory32, prefetchable: false)
            .PowerManagement(offset: 0x40)
            .Msi(vectors: 1, maskable: true, offset: 0x50)
            .Msix(Vectors, bar: 3, tableOffset: 0, pbaOffset: 0x2000, offset: 0x70)
            .PciExpress(offset: 0xA0)
            .Aer(offset: 0x100)
            .SerialNumber(Options.SerialNumber, offset: 0x150)
            .PhysicalFunction(DescribeFunctions(), offset: 0x160)
            .Migratable();
        _work = CreateWork("packets", Run);
        Alarms.Attach(CreateWork("throttle", Alarms.Run));
        _backend.Start(new Sink(this));
    }

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind)
    {
        Phy.Reset();
        Forget();
        OnCommandChanged((PciCommand)Config.GetWord(PciRegister.Command));
    }

    /// <inheritdoc/>
    protected override void OnCommandChanged(PciCommand command)
    {
        _isBusMaster = (command & PciCommand.BusMaster) != 0;
        Wake();
    }

    /// <inheritdoc/>
    protected override long MaximumStateLength => Transmitter.Queues * (TransmitQueue.LongestPacket + 64L) + 4096;

    /// <inheritdoc/>
    protected override void SaveState(DeviceStateWriter writer)
    {
        foreach (ushort value in Phy.Content)
        {
            writer.WriteUInt16(value);
        }

        _transmitter.Save(writer);
    }

    /// <inheritdoc/>
    protected override Errno TryRestoreState(ref DeviceStateReader reader)
    {
        foreach (ref ushort value in Phy.Content)
        {
            value = reader.ReadUInt16();
        }

        return _transmitter.TryRestore(ref reader) && !reader.IsBroken ? Errno.None : Errno.EINVAL;
    }

    /// <inheritdoc/>
    protected override void OnContinued(bool isRestored)
    {
        if (isRestored)
        {
            // Interrupts that the other device had told may not have been heard.
            Alarms.Unmask(uint.MaxValue);
            Alarms.DeliverVectors();
            if ((Causes.Cause & Causes.Mask) != 0)
            {
                Alarms.RaiseOther(isNew: true);
            }

            // The link is this host's.
            LinkChanged();
        }

        _work?.Schedule();
    }

    /// <inheritdoc/>
    protected override void OnDisposed() => _backend.Dispose();

    /// <summary>Follows a reset of the registers.</summary>
    private void Forget()
    {
        Buffer.Clear();
        _receiver.Reset();
        _transmitter.Reset();
        Alarms.Reset();
        Mailboxes.PhysicalReset();
        Interrupts.SetIntx(false);
    }

    /// <summary>Packets of others come in.</summary>
    private sealed class Sink(IgbDevice device) : IPacketSink
    {
        public void Receive(ReadOnlySpan<byte> frame) => device.Arrive(frame);

        public void LinkChanged()
        {
            lock (device.StateLock)
            {
                device.LinkChanged();
            }
        }
    }
}

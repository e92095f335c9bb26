using Vfio.Pci;

namespace Vfio.Devices.Igb;

/// <summary>
/// A virtual function of an <see cref="IgbDevice"/>: two queues each way, three vectors, and a mailbox to the physical function's driver, which gives it
/// its addresses. Linux' <c>igbvf</c> and DPDK's <c>net_e1000_igb_vf</c> drive it.
/// </summary>
/// <remarks>Its state belongs to the physical function. Lock order: this function's <see cref="VfioPciDevice.StateLock"/>, then the physical function's.</remarks>
public sealed class IgbVirtualFunction : VfioPciDevice
{
    internal const ushort DeviceId = 0x10CA;
    internal const ulong BarSize = 0x4000;
    internal const int Vectors = 3;
    internal const int Queues = 2;
    private readonly VirtualRegisters _registers;
    private volatile bool _isBusMaster;

    internal IgbVirtualFunction(IgbDevice physical, int index)
    {
        Physical = physical;
        Pool = index;
        _registers = new VirtualRegisters(this);
    }

    internal IgbDevice Physical { get; }

    /// <summary>Its number, which is that of its pool.</summary>
    internal int Pool { get; }

    /// <summary>Its own registers, under the physical function's state lock.</summary>
    internal VirtualRegisters Registers => _registers;

    /// <summary>Whether it may do DMA.</summary>
    internal bool IsBusMaster => _isBusMaster;

    /// <summary>The words of its mailbox.</summary>
    internal Span<uint> Mail => Physical.General.MailboxMemory.Slice(Pool * 16, 16);

    /// <summary>Sends the message of a vector.</summary>
    internal void Tell(int vector)
    {
        if (Interrupts.Mode == InterruptMode.Msix)
        {
            Interrupts.Signal(vector);
        }
    }

    /// <summary>Resets its queues and tells the physical function. Caller holds that one's state lock.</summary>
    internal void ResetQueues() => Physical.ResetFunction(Pool);

    /// <summary>Counts a packet. Caller holds the physical function's state lock.</summary>
    internal void Count(ReadOnlySpan<byte> frame, bool transmits)
    {
        uint length = (uint)frame.Length + 4;
        if (transmits)
        {
            _registers.Sent++;
            _registers.OctetsSent += length;
            return;
        }

        _registers.Received++;
        _registers.OctetsReceived += length;
        _registers.MulticastsReceived += frame[0] & 1U;
    }

    /// <inheritdoc/>
    protected override void Configure(PciDeviceBuilder pci)
    {
        ArgumentNullException.ThrowIfNull(pci);
        pci.Id(vendor: 0x8086, device: DeviceId, revision: 1)
            .Subsystem(0x8086, IgbDevice.SubsystemId)
            .Class(0x02, 0x00)
            .VirtualFunctionOf(Physical)
            .Bar(0, new VirtualBlock(this, _registers))
            .Bar(3, BarSize, PciBarKind.Memory32, prefetchable: false)
            .Msix(Vectors, bar: 3, tableOffset: 0, pbaOffset: 0x2000, offset: 0x70)
            .PciExpress(offset: 0xA0)
            .Aer(offset: 0x100);
        Physical.Attach(this);
    }

    /// <inheritdoc/>
    protected override void OnCommandChanged(PciCommand command)
    {
        _isBusMaster = (command & PciCommand.BusMaster) != 0;
        Physical.Wake();
    }

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind)
    {
        OnCommandChanged((PciCommand)Config.GetWord(PciRegister.Command));
        if (kind != ResetKind.PowerOn)
        {
            lock (Physical.StateLock)
            {
                ResetQueues();
            }
        }
    }

    /// <inheritdoc/>
    protected override void OnDisposed() => Physical.Detach(this);
}

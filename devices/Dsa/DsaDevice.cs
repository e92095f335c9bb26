using System.Numerics;
using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Devices.Dsa;

/// <summary>
/// A data streaming accelerator with the ids of Intel's in Sapphire Rapids: work queues take descriptors by stores of 64 bytes to their portals; they move, fill,
/// compare and check memory, alone and in batches, and tell their completions in memory and by interrupt. The README has the register table.
/// </summary>
public sealed class DsaDevice : VfioPciDevice
{
    private const ulong BarSize = 0x1_0000;
    private const ulong TableOffset = 0x2000;
    private const ulong PendingOffset = 0x3000;
    private readonly PortalBlock _portals;
    private readonly WorkQueue[] _queues;

    /// <summary>Makes the device.</summary>
    /// <param name="options">Settings; null for transfers of 64 KiB.</param>
    /// <exception cref="ArgumentOutOfRangeException">The settings are none that the registers can express.</exception>
    public DsaDevice(DsaOptions? options = null)
    {
        options ??= new DsaOptions();
        if (options.Problem() is { } problem)
        {
            throw new ArgumentOutOfRangeException(nameof(options), problem);
        }

        TransferShift = BitOperations.Log2((ulong)options.LongestTransfer);
        Registers = new DsaRegisters(this);
        _queues = [.. Enumerable.Range(0, DsaLimits.Queues).Select(index => new WorkQueue(this, index))];
        _portals = new PortalBlock(_queues);
        Commands = new CommandUnit(this, Registers, _queues);
    }

    internal DsaRegisters Registers { get; }

    internal CommandUnit Commands { get; }

    /// <summary>The longest transfer, as a power of two.</summary>
    internal int TransferShift { get; }

    /// <summary>Whether the device may reach memory.</summary>
    internal bool IsBusMaster => (Config.GetWord(PciRegister.Command) & (ushort)PciCommand.BusMaster) != 0;

    /// <summary>Sends a message of MSI-X.</summary>
    internal void Signal(int vector)
    {
        if (Interrupts.Mode == InterruptMode.Msix)
        {
            Interrupts.Signal(vector);
        }
    }

    /// <summary>Tells an error that no completion record could.</summary>
    internal void Tell(in SoftwareError error, int queue)
    {
        bool isFirst = Registers.Tell(in error, queue);
        if (TryLog(out long swallowed))
        {
            DsaLog.SoftwareError(Logger, Name, error.Error, queue, error.FaultAddress, swallowed);
        }

        if (isFirst && Registers.InterruptsOnErrors)
        {
            Signal(0);
        }
    }

    internal void LogRefused(DsaCommand command, uint operand, CommandStatus status)
    {
        if (TryLog(out _))
        {
            DsaLog.Refused(Logger, Name, command, operand, status);
        }
    }

    /// <inheritdoc/>
    protected override void Configure(PciDeviceBuilder pci)
    {
        ArgumentNullException.ThrowIfNull(pci);
        pci.Id(vendor: 0x8086, device: 0x0B25)
            .Subsystem(0x8086, 0x0000)
            .Class(0x08, 0x80)
            .Bar(0, BarSize, PciBarKind.Memory64, prefetchable: true, area => area.Registers(0, Registers))
            .Bar(2, DsaLimits.Queues * DsaLimits.PortalsSize, PciBarKind.Memory64, prefetchable: true, area => area.Registers(0, _portals))
            .PciExpress()
            .PowerManagement()
            .Msix(DsaLimits.Vectors, bar: 0, tableOffset: TableOffset, pbaOffset: PendingOffset)
            .Aer()
            .Migratable();
        foreach (WorkQueue queue in _queues)
        {
            queue.Attach(CreateWork($"work queue {queue.Index}", queue.Run));
        }
    }

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind)
    {
        foreach (WorkQueue queue in _queues)
        {
            queue.Drop();
            queue.Forget();
        }

        Commands.Forget();
    }

    /// <inheritdoc/>
    protected override void SaveIdentity(DeviceStateWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteByte((byte)TransferShift);
    }

    /// <inheritdoc/>
    protected override void SaveState(DeviceStateWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        (DsaCommand command, uint queues, bool interrupts) = Commands.Waiting;
        writer.WriteByte((byte)command);
        writer.WriteUInt32(queues);
        writer.WriteBoolean(interrupts);
        foreach (WorkQueue queue in _queues)
        {
            queue.Save(writer);
        }
    }

    /// <inheritdoc/>
    protected override Errno TryRestoreState(ref DeviceStateReader reader)
    {
        Commands.Waiting = ((DsaCommand)reader.ReadByte(), reader.ReadUInt32(), reader.ReadBoolean());
        foreach (WorkQueue queue in _queues)
        {
            if (!queue.TryRestore(ref reader))
            {
                return Errno.EINVAL;
            }
        }

        return reader.IsBroken ? Errno.EINVAL : Errno.None;
    }
}

using Vfio.Abi;

namespace Vfio;

/// <content>The device as a PCI function, and its reset.</content>
public abstract partial class VfioConnection
{
    /// <summary>How long a function may take to finish its transactions before it is reset all the same (as <c>pci_wait_for_pending_transaction</c>).</summary>
    private static readonly TimeSpan s_pendingTransactions = TimeSpan.FromMilliseconds(1500);

    /// <summary>Configuration space by names; for a PCI device.</summary>
    public PciFunctionConfig Pci => new(Config);

    /// <summary>
    /// Resets the device, quiesced: bus mastering is turned off first and, of an Express function, transactions under way are waited for, so that
    /// no DMA of before comes after. Afterwards bus mastering is off; what else the Command register holds, the way to the device decides (the kernel
    /// restores it, an emulated device has forgotten it). Interrupts that were enabled stay so.
    /// </summary>
    /// <exception cref="VfioException">The device cannot be reset or failed to.</exception>
    public void Reset()
    {
        if ((Info.Flags & DeviceFlags.Pci) != 0)
        {
            Quiesce();
        }

        VfioException.ThrowIfError(
            TryReset(), $"reset {Address}", (Info.Flags & DeviceFlags.Reset) == 0 ? "It does not claim to have a reset of its own." : null);
    }

    /// <summary>Resets the device as it is, and reports failure as a value.</summary>
    /// <returns><see cref="Errno.None"/>, or an errno.</returns>
    public abstract Errno TryReset();

    private void Quiesce()
    {
        PciFunctionConfig pci = Pci;
        PciCommand command = pci.Command;
        if ((command & PciCommand.BusMaster) == 0)
        {
            return;
        }

        pci.Command = command & ~PciCommand.BusMaster;
        if (pci.Find(PciCapabilityId.Express) is not { } express)
        {
            // The read that comes back is behind all writes of the function.
            _ = pci.Command;
            return;
        }

        ulong status = (ulong)express.Offset + ExpressCapability.DeviceStatus;
        long started = System.Diagnostics.Stopwatch.GetTimestamp();
        while ((pci.Region.Read16(status) & ExpressCapability.TransactionsPending) != 0
            && System.Diagnostics.Stopwatch.GetElapsedTime(started) < s_pendingTransactions)
        {
            Thread.Sleep(1);
        }
    }
}

using Vfio.Abi;

namespace Vfio.Iommu;

public sealed partial class IommufdContext
{
    /// <summary>Moves all memory of the context's address spaces to the account of whoever calls now.</summary>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.EBUSY"/> while something is being mapped or unmapped; <see cref="Errno.EINVAL"/> when there
    /// is memory that is not a file's; <see cref="Errno.ENOMEM"/> when the caller's limit is too low. Nothing is then moved.
    /// </returns>
    /// <remarks>IOMMU_IOAS_CHANGE_PROCESS; spec iommufd §2.18, §3.8.</remarks>
    public Errno ChangeProcess()
    {
        ProcessMemoryAccount? account = _caller().Account;
        HashSet<PinLedger> ledgers = [];
        Ioas[] all;
        lock (_lock)
        {
            all = [.. _objects.Values.OfType<Ioas>()];
        }

        foreach (Ioas ioas in all)
        {
            foreach (IovaArea area in ioas.Map)
            {
                if (area.IsBusy)
                {
                    return Errno.EBUSY;
                }

                if (!area.Source.IsFile)
                {
                    return Errno.EINVAL;
                }

                if (area.Source.Ledger is { } ledger)
                {
                    ledgers.Add(ledger);
                }
            }
        }

        List<(PinLedger Ledger, ProcessMemoryAccount? Old)> moved = [];
        foreach (PinLedger ledger in ledgers)
        {
            ProcessMemoryAccount? old = ledger.Account;
            if (!ledger.TryMoveTo(account))
            {
                moved.ForEach(static entry => entry.Ledger.MoveBackTo(entry.Old));
                return Errno.ENOMEM;
            }

            moved.Add((ledger, old));
        }

        return Errno.None;
    }
}

namespace Vfio.Iommu;

/// <summary>What devices left behind: given up once all locks are free, since it may take a page table and an address space's lock.</summary>
/// <param name="PageTable">The page table that was left; null when none was.</param>
/// <param name="Users">How many devices left it: so many users it has too many.</param>
/// <param name="Faults">Page faults that nobody will answer.</param>
internal readonly record struct Departure(HardwarePageTable? PageTable, int Users, IReadOnlyList<FaultGroup> Faults)
{
    /// <summary>Gives it up.</summary>
    public void Complete()
    {
        if (PageTable is not { } pageTable)
        {
            return;
        }

        foreach (FaultGroup group in Faults)
        {
            group.Respond(PageResponse.Invalid);
        }

        for (int users = Users; users > 1; users--)
        {
            pageTable.Context.Put(pageTable);
        }

        if (pageTable is PagingHardwarePageTable { IsAutomatic: true })
        {
            pageTable.Context.PutAndTryDestroy(pageTable);
        }
        else
        {
            pageTable.Context.Put(pageTable);
        }
    }
}

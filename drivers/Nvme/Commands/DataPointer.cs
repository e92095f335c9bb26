namespace Vfio.Drivers.Nvme;

/// <summary>
/// Describes a piece of the device's address space to a command: by physical region pages (PRP, Base 2.0 §4.1.1) or by one data block
/// descriptor (SGL, §4.1.2). DMA buffers are contiguous for the device, so that one descriptor always does.
/// </summary>
internal static class DataPointer
{
    /// <summary>How many list entries a transfer may need at most, whatever its offset in the first page.</summary>
    public static int PrpListEntries(uint length, int pageShift) => (int)((length + (1UL << pageShift) - 1) >> pageShift);

    /// <summary>Sets the two PRP entries, and writes the list when the transfer touches more than two pages.</summary>
    /// <param name="entry">The command.</param>
    /// <param name="iova">First byte, a multiple of 4.</param>
    /// <param name="length">Length in bytes, not 0.</param>
    /// <param name="pageShift">The controller's memory page, as a power of two.</param>
    /// <param name="list">Room for the list; it does not cross a page. <see cref="PrpListEntries"/> tells how much.</param>
    /// <param name="listIova">The list's address for the device.</param>
    public static void SetPrp(ref SubmissionEntry entry, ulong iova, uint length, int pageShift, Span<ulong> list, ulong listIova)
    {
        ulong page = 1UL << pageShift;
        entry.DataPointer1 = iova;
        entry.DataPointer2 = 0;
        ulong first = page - (iova & (page - 1));
        if (length <= first)
        {
            return;
        }

        ulong rest = length - first;
        ulong next = iova + first;
        if (rest <= page)
        {
            entry.DataPointer2 = next;
            return;
        }

        int count = (int)((rest + page - 1) >> pageShift);
        for (int i = 0; i < count; i++)
        {
            list[i] = next;
            next += page;
        }

        entry.DataPointer2 = listIova;
    }

    /// <summary>Sets the data pointer to one SGL data block descriptor.</summary>
    /// <param name="entry">The command.</param>
    /// <param name="iova">First byte.</param>
    /// <param name="length">Length in bytes.</param>
    public static void SetSgl(ref SubmissionEntry entry, ulong iova, uint length)
    {
        entry.Flags |= SubmissionEntry.FlagSgl;
        entry.DataPointer1 = iova;

        // The last byte, type 0 (data block) and subtype 0 (address), is 0.
        entry.DataPointer2 = length;
    }
}

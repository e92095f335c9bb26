using Vfio.Abi;

namespace Vfio.Iommu;

public sealed partial class IommufdDevice
{
    /// <summary>Sends the device's DMA to a page table, or to an address space by a page table that suits it.</summary>
    /// <param name="targetId">In: the id of a page table or an address space. Out: the id of the page table.</param>
    /// <param name="pasid">The PASID; 0 for DMA without one.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.ENOENT"/> for an unknown id; <see cref="Errno.EINVAL"/> for another kind of object, a page
    /// table that does not suit the device, or another one than its group's; <see cref="Errno.EBUSY"/> when the device is attached there
    /// already; <see cref="Errno.EADDRINUSE"/> when the device's reserved addresses, or the page table's limits, meet what is mapped or
    /// allowed; what putting memory in place reported.
    /// </returns>
    /// <remarks><c>iommufd_device_attach</c>; spec iommufd §4.2. Of an address space the automatic page tables are tried in their order, and one is made when none fits.</remarks>
    public Errno Attach(ref uint targetId, uint pasid = 0) => Change(ref targetId, pasid, replace: false);

    /// <summary>Sends the DMA of the device, and of its group, somewhere else, with no moment between.</summary>
    /// <param name="targetId">As for <see cref="Attach"/>.</param>
    /// <param name="pasid">The PASID; 0 for DMA without one.</param>
    /// <returns>As for <see cref="Attach"/>; <see cref="Errno.EINVAL"/> when the device is not attached. On failure the old attachment stays.</returns>
    /// <remarks><c>iommufd_device_replace</c>.</remarks>
    public Errno Replace(ref uint targetId, uint pasid = 0) => Change(ref targetId, pasid, replace: true);

    /// <summary>Blocks the device's DMA; when it is not attached it does nothing.</summary>
    /// <param name="pasid">The PASID; 0 for DMA without one.</param>
    /// <remarks><c>iommufd_device_detach</c>. The group's DMA is blocked with its last device; faults that were not answered are answered as invalid.</remarks>
    public void Detach(uint pasid = 0)
    {
        Departure departure;
        lock (_group.Lock)
        {
            if (!_group.Attachments.TryGetValue(pasid, out DeviceAttachment? attachment) || !attachment.Devices.Remove(this))
            {
                return;
            }

            HardwarePageTable pageTable = attachment.PageTable;
            departure = new Departure(pageTable, 1, []);
            if (attachment.Devices.Count == 0)
            {
                _group.Attachments.Remove(pasid);
                _group.Group.Detach(pasid);
                departure = departure with { Faults = pageTable.Faults?.Abandon(attachment) ?? [] };
            }

            if (pasid == 0)
            {
                pageTable.Paging.Ioas.Map.RemoveReservations(this);
            }
        }

        Context.Put(this);
        departure.Complete();
    }

    /// <summary>Whether the device is attached.</summary>
    /// <param name="pasid">The PASID; 0 for DMA without one.</param>
    /// <returns>The page table, or null.</returns>
    public HardwarePageTable? GetPageTable(uint pasid = 0)
    {
        lock (_group.Lock)
        {
            return _group.Attachments.TryGetValue(pasid, out DeviceAttachment? attachment) && attachment.Devices.Contains(this)
                ? attachment.PageTable
                : null;
        }
    }

    private Errno Change(ref uint targetId, uint pasid, bool replace)
    {
        Errno error = Context.TryGet(targetId, out IommufdObject? target);
        if (error != Errno.None)
        {
            return error;
        }

        Departure departure = default;
        switch (target)
        {
            case HardwarePageTable pageTable:
                error = Change(pageTable, pasid, replace, out departure);
                break;
            case Ioas ioas:
                error = Change(ioas, pasid, replace, out PagingHardwarePageTable? chosen, out departure);
                targetId = chosen?.Id ?? targetId;
                break;
            default:
                error = Errno.EINVAL;
                break;
        }

        Context.Put(target!);
        departure.Complete();
        return error;
    }

    private Errno Change(HardwarePageTable pageTable, uint pasid, bool replace, out Departure departure)
    {
        departure = default;
        return replace ? ReplaceBy(pageTable, pasid, out departure) : AttachTo(pageTable, pasid);
    }

    /// <summary>Tries the automatic page tables of an address space, and makes one when none suits.</summary>
    private Errno Change(Ioas ioas, uint pasid, bool replace, out PagingHardwarePageTable? chosen, out Departure departure)
    {
        chosen = null;
        departure = default;
        lock (ioas.PageTableLock)
        {
            foreach (PagingHardwarePageTable candidate in ioas.PageTables)
            {
                if (!candidate.IsAutomatic || !Context.TryKeep(candidate))
                {
                    continue;
                }

                Errno tried = Change(candidate, pasid, replace, out departure);
                Context.Put(candidate);
                if (tried == Errno.EINVAL)
                {
                    continue; // Incompatible.
                }

                chosen = tried == Errno.None ? candidate : null;
                return tried;
            }

            Errno error = Hardware.CreateDomain(DomainOptions.None, default, out IPagingDomain? domain);
            if (error != Errno.None)
            {
                return error;
            }

            Context.AddUser(ioas);
            PagingHardwarePageTable made = new(ioas, domain!, DomainOptions.None) { IsAutomatic = true };
            error = replace ? MakeAndReplace(made, pasid, out departure) : MakeAndAttach(made, pasid);
            chosen = error == Errno.None ? made : null;
            return error;
        }
    }

    /// <summary>Attaches to a new page table, shows the address space by it and gives it an id; on failure it is gone.</summary>
    private Errno MakeAndAttach(PagingHardwarePageTable made, uint pasid)
    {
        // The device's reserved addresses count before anything is shown.
        Errno error = AttachTo(made, pasid);
        if (error != Errno.None)
        {
            made.Destroyed();
            return error;
        }

        error = made.Show();
        error = error == Errno.None ? Context.Publish(made) : error;
        if (error != Errno.None)
        {
            made.IsAutomatic = false; // Detaching must not destroy it: it has no id yet.
            Detach(pasid);
            made.Destroyed();
        }

        return error;
    }

    /// <summary>As <see cref="MakeAndAttach"/> for a device that is attached: showing the address space comes first, so that the old attachment stays when it fails.</summary>
    private Errno MakeAndReplace(PagingHardwarePageTable made, uint pasid, out Departure departure)
    {
        departure = default;
        Errno error = made.Show();
        error = error == Errno.None ? Context.Publish(made) : error;
        error = error == Errno.None ? ReplaceBy(made, pasid, out departure) : error;
        if (error != Errno.None && made.Id == 0)
        {
            made.Destroyed();
        }
        else if (error != Errno.None)
        {
            Context.Discard(made);
        }

        return error;
    }

    private Errno AttachTo(HardwarePageTable pageTable, uint pasid)
    {
        lock (_group.Lock)
        {
            _group.Attachments.TryGetValue(pasid, out DeviceAttachment? attachment);
            if (attachment?.Devices.Contains(this) == true)
            {
                return Errno.EBUSY;
            }

            if (attachment is not null && !ReferenceEquals(attachment.PageTable, pageTable))
            {
                return Errno.EINVAL;
            }

            IovaMap map = pageTable.Paging.Ioas.Map;
            Errno error = pasid == 0 ? map.Reserve(ReservedRanges(), this) : Errno.None;
            if (error != Errno.None)
            {
                return error;
            }

            if (attachment is null)
            {
                error = CheckFit(pageTable, pasid);
                error = error == Errno.None ? _group.Group.Attach(pageTable.Domain, pasid) : error;
                if (error != Errno.None)
                {
                    if (pasid == 0)
                    {
                        map.RemoveReservations(this);
                    }

                    return error;
                }

                attachment = new DeviceAttachment(pageTable);
                _group.Attachments.Add(pasid, attachment);
            }

            attachment.Devices.Add(this);
            Context.AddUser(pageTable);
            Context.AddUser(this);
            return Errno.None;
        }
    }

    private Errno ReplaceBy(HardwarePageTable pageTable, uint pasid, out Departure departure)
    {
        departure = default;
        lock (_group.Lock)
        {
            if (!_group.Attachments.TryGetValue(pasid, out DeviceAttachment? attachment) || !attachment.Devices.Contains(this))
            {
                return Errno.EINVAL;
            }

            HardwarePageTable old = attachment.PageTable;
            if (ReferenceEquals(old, pageTable))
            {
                return Errno.None;
            }

            Ioas from = old.Paging.Ioas;
            Ioas to = pageTable.Paging.Ioas;
            bool moves = pasid == 0 && !ReferenceEquals(from, to);
            Errno error = moves ? ReserveForAll(attachment, to) : Errno.None;
            if (error != Errno.None)
            {
                return error;
            }

            error = CheckFit(pageTable, pasid);
            error = error == Errno.None ? _group.Group.Replace(pageTable.Domain, pasid) : error;
            if (error != Errno.None)
            {
                // Only what was added is taken back; the kernel takes too much where both stand on one address space (spec iommufd Q12).
                if (moves)
                {
                    attachment.Devices.ForEach(device => to.Map.RemoveReservations(device));
                }

                return error;
            }

            if (moves)
            {
                attachment.Devices.ForEach(device => from.Map.RemoveReservations(device));
            }

            departure = new Departure(old, attachment.Devices.Count, old.Faults?.Abandon(attachment) ?? []);
            attachment.PageTable = pageTable;
            attachment.Devices.ForEach(_ => Context.AddUser(pageTable));
            return Errno.None;
        }
    }

    private static Errno ReserveForAll(DeviceAttachment attachment, Ioas ioas)
    {
        for (int i = 0; i < attachment.Devices.Count; i++)
        {
            IommufdDevice device = attachment.Devices[i];
            Errno error = ioas.Map.Reserve(device.ReservedRanges(), device);
            if (error != Errno.None)
            {
                attachment.Devices[..i].ForEach(other => ioas.Map.RemoveReservations(other));
                return error;
            }
        }

        return Errno.None;
    }

    /// <summary>What the hardware layer checks before a group's DMA goes to a page table. The caller holds the group's lock.</summary>
    private Errno CheckFit(HardwarePageTable pageTable, uint pasid)
    {
        if (pageTable.Faults is not null && Device.SharesPageRequests)
        {
            return Errno.EINVAL;
        }

        // RID and PASIDs go together: with a PASID in use, all page tables must have been made for it (spec iommufd §4.3).
        bool suitsPasids = (pageTable.Options & DomainOptions.Pasid) != 0;
        bool needsPasids = pasid != 0 || _group.Attachments.Keys.Any(static used => used != 0);
        bool ridSuits = pasid == 0 || !_group.Attachments.TryGetValue(0, out DeviceAttachment? rid)
            || (rid.PageTable.Options & DomainOptions.Pasid) != 0;
        if ((needsPasids && !suitsPasids) || !ridSuits)
        {
            return Errno.EINVAL;
        }

        if (pasid != 0 && Device.PasidCount == 0)
        {
            return Errno.EOPNOTSUPP;
        }

        // A page table that tracks writes is of no use to a device whose writes its IOMMU can't see.
        bool tracks = pageTable is PagingHardwarePageTable { PagingDomain.TracksWrites: true };
        return (pasid != 0 && pasid >= Device.PasidCount) || (tracks && !Device.TracksWrites) ? Errno.EINVAL : Errno.None;
    }

    private IovaRange[] ReservedRanges()
        => [.. Hardware.ReservedRegions.Where(static region => !region.IsRelaxable).Select(static region => region.Range)];
}

using System.Numerics;
using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio;

public sealed partial class Type1Iommu
{
    private readonly List<DomainEntry> _domains = [];
    private readonly List<VfioGroup> _emulated = [];
    private readonly HashSet<VfioGroup> _pinningGroups = [];
    private List<IovaRange> _valid = [];

    /// <summary>Hardware groups that never pinned: their DMA may have written anything.</summary>
    private bool HasUntrackedGroup => _domains.Exists(entry => entry.Groups.Exists(group => !_pinningGroups.Contains(group)));

    /// <inheritdoc/>
    /// <remarks><c>vfio_iommu_type1_attach_group</c>; spec vfio-core §8.5.</remarks>
    public override Errno AttachGroup(VfioGroup group)
    {
        lock (_lock)
        {
            if (_invalid > 0)
            {
                return Errno.EBUSY;
            }

            if (_emulated.Contains(group) || _domains.Exists(entry => entry.Groups.Contains(group)))
            {
                return Errno.EINVAL;
            }

            if (group.Type != VfioGroupType.Iommu)
            {
                _emulated.Add(group);
                return Errno.None;
            }

            Errno error = group.IommuGroup.Hardware.CreateDomain(DomainOptions.None, default, out IPagingDomain? domain);
            if (error != Errno.None)
            {
                return error;
            }

            error = group.IommuGroup.Attach(domain!);
            if (error == Errno.None)
            {
                error = Admit(group, domain!);
                if (error == Errno.None)
                {
                    return Errno.None;
                }

                group.IommuGroup.Detach();
            }

            domain!.Dispose();
            return error;
        }
    }

    /// <inheritdoc/>
    /// <remarks><c>vfio_iommu_type1_detach_group</c>.</remarks>
    public override void DetachGroup(VfioGroup group)
    {
        lock (_lock)
        {
            if (_emulated.Remove(group))
            {
                _pinningGroups.Remove(group);
                if (_emulated.Count == 0 && _domains.Count == 0)
                {
                    RemoveAll();
                }

                return;
            }

            DomainEntry? entry = _domains.Find(candidate => candidate.Groups.Contains(group));
            if (entry is null)
            {
                return;
            }

            bool untracked = !_pinningGroups.Remove(group);
            group.IommuGroup.Detach();
            entry.Groups.Remove(group);
            if (entry.Groups.Count == 0)
            {
                RemoveDomain(entry);
            }

            _valid = ValidRanges();
            UpdatePageSizes();
            if (untracked && _tracking)
            {
                _mappings.ForEach(static mapping => mapping.MarkAllDirty());
            }
        }
    }

    private static bool Allows(ReservedRegion region, IovaRange range) => region.IsRelaxable || !region.Range.Overlaps(range);

    private static List<IovaRange> Exclude(List<IovaRange> ranges, IovaRange hole)
    {
        List<IovaRange> left = [];
        foreach (IovaRange range in ranges)
        {
            if (!range.Overlaps(hole))
            {
                left.Add(range);
                continue;
            }

            if (range.Start < hole.Start && IovaRange.TryCreateInclusive(range.Start, hole.Start - 1, out IovaRange below))
            {
                left.Add(below);
            }

            if (range.Last > hole.Last && IovaRange.TryCreateInclusive(hole.Last + 1, range.Last, out IovaRange above))
            {
                left.Add(above);
            }
        }

        return left;
    }

    private static List<IovaRange> Restrict(List<IovaRange> ranges, IovaRange aperture, IReadOnlyList<ReservedRegion> reserved)
    {
        List<IovaRange> left = [];
        foreach (IovaRange range in ranges)
        {
            if (IovaRange.TryCreateInclusive(Math.Max(range.Start, aperture.Start), Math.Min(range.Last, aperture.Last), out IovaRange common))
            {
                left.Add(common);
            }
        }

        foreach (ReservedRegion region in reserved)
        {
            left = region.IsRelaxable ? left : Exclude(left, region.Range);
        }

        return left;
    }

    /// <summary>The checks of a hardware group, and its place among the domains. The caller undoes the attach of the group to its fresh domain on failure.</summary>
    private Errno Admit(VfioGroup group, IPagingDomain domain)
    {
        IIommuHardware hardware = group.IommuGroup.Hardware;
        foreach (Type1Mapping mapping in _mappings)
        {
            if (!domain.Aperture.Contains(mapping.Range) || hardware.ReservedRegions.Any(region => !Allows(region, mapping.Range)))
            {
                return Errno.EINVAL;
            }
        }

        List<IovaRange> valid = Restrict(_valid.Count == 0 ? [IovaRange.All] : _valid, domain.Aperture, hardware.ReservedRegions);
        if (valid.Count == 0 || (_pageSizes & PageSizesOf(domain.PageSizes)) == 0)
        {
            return Errno.EINVAL;
        }

        if (!hardware.HasIsolatedMsi && !_host.Options.AllowUnsafeInterrupts)
        {
            return Errno.EPERM;
        }

        Errno error = Place(group, domain);
        if (error == Errno.None)
        {
            _valid = valid;
            UpdatePageSizes();
        }

        return error;
    }

    /// <summary>Moves the group to a domain that is there and suits it, or takes its own in.</summary>
    private Errno Place(VfioGroup group, IPagingDomain domain)
    {
        foreach (DomainEntry entry in _domains)
        {
            if (entry.Domain.GetType() != domain.GetType() || entry.Domain.EnforcesCoherency != domain.EnforcesCoherency)
            {
                continue;
            }

            group.IommuGroup.Detach();
            if (group.IommuGroup.Attach(entry.Domain) == Errno.None)
            {
                entry.Groups.Add(group);
                domain.Dispose();
                return Errno.None;
            }

            Errno again = group.IommuGroup.Attach(domain);
            if (again != Errno.None)
            {
                return again;
            }
        }

        Errno error = Replay(domain);
        if (error == Errno.None)
        {
            _domains.Add(new DomainEntry(domain, group));
        }

        return error;
    }

    /// <summary>Shows a new domain all mappings; those that no domain had yet are put in place first.</summary>
    private Errno Replay(IPagingDomain domain)
    {
        for (int i = 0; i < _mappings.Count; i++)
        {
            Type1Mapping mapping = _mappings[i];
            Errno error = _domains.Count > 0 ? Errno.None : Hold(mapping);
            if (error == Errno.None)
            {
                error = Show(domain, mapping);
                if (error == Errno.None)
                {
                    mapping.IsHardwareMapped = true;
                    continue;
                }

                Release(mapping);
            }

            while (--i >= 0)
            {
                domain.Unmap(_mappings[i].Range);
                if (_domains.Count == 0)
                {
                    _mappings[i].IsHardwareMapped = false;
                    Release(_mappings[i]);
                }
            }

            return error;
        }

        return Errno.None;
    }

    /// <summary>Puts a new mapping in all domains.</summary>
    private Errno MapHardware(Type1Mapping mapping)
    {
        Errno error = Hold(mapping);
        if (error != Errno.None)
        {
            return error;
        }

        for (int i = 0; i < _domains.Count; i++)
        {
            error = Show(_domains[i].Domain, mapping);
            if (error == Errno.None)
            {
                continue;
            }

            while (--i >= 0)
            {
                _domains[i].Domain.Unmap(mapping.Range);
            }

            Release(mapping);
            return error;
        }

        mapping.IsHardwareMapped = true;
        return Errno.None;
    }

    private static Errno Show(IPagingDomain domain, Type1Mapping mapping)
    {
        bool writable = (mapping.Access & DmaAccess.Write) != 0;
        UserMemorySource source = new(mapping.Memory, mapping.Address, mapping.Range.Length, writable);
        Errno error = domain.Map(mapping.Range, source, 0, mapping.Access);
        source.RemoveReference();
        return error;
    }

    private void UnmapHardware(Type1Mapping mapping)
    {
        foreach (DomainEntry entry in _domains)
        {
            entry.Domain.Unmap(mapping.Range);
        }

        mapping.IsHardwareMapped = false;
        Release(mapping);
    }

    /// <summary>Shows all domains the memory at a mapping's new address, which is the same memory as before as far as they are concerned.</summary>
    private void ShowAgain(Type1Mapping mapping)
    {
        foreach (DomainEntry entry in _domains)
        {
            entry.Domain.Unmap(mapping.Range);
            _ = Show(entry.Domain, mapping);
        }
    }

    /// <summary>Charges for memory that hardware will see, and makes sure that it is there.</summary>
    private Errno Hold(Type1Mapping mapping)
    {
        long missing = Math.Max(0, mapping.PageCount - mapping.Charged);
        if (!Account.TryCharge(missing, IsExempt))
        {
            return Errno.ENOMEM;
        }

        mapping.Charged += missing;
        if (mapping.Memory is IPinnableUserMemory pinnable)
        {
            Errno error = pinnable.Pin(mapping.Address, mapping.Range.Length, (mapping.Access & DmaAccess.Write) != 0);
            if (error == Errno.None)
            {
                mapping.Held = (pinnable, mapping.Address);
            }
            else
            {
                LetGo(mapping);
            }

            return error;
        }

        Span<byte> probe = stackalloc byte[1];
        ulong last = mapping.Range.Length - 1;
        for (ulong offset = 0; ; offset += PageSize)
        {
            if (mapping.Memory.Read(mapping.Address + offset, probe) != Errno.None)
            {
                LetGo(mapping);
                return Errno.EFAULT;
            }

            if (last - offset < PageSize)
            {
                return Errno.None;
            }
        }
    }

    /// <summary>Undoes <see cref="Hold"/>.</summary>
    private void Release(Type1Mapping mapping)
    {
        if (mapping.Held is (IPinnableUserMemory memory, ulong address))
        {
            memory.Unpin(address, mapping.Range.Length);
            mapping.Held = null;
        }

        LetGo(mapping);
    }

    /// <summary>Gives back what is charged beyond the pinned pages, once no hardware maps the others.</summary>
    private void LetGo(Type1Mapping mapping)
    {
        long surplus = Math.Max(0, mapping.Charged - mapping.Pins.Count);
        Account.Uncharge(surplus);
        mapping.Charged -= surplus;
    }

    private void RemoveDomain(DomainEntry entry)
    {
        if (_domains.Count == 1)
        {
            if (_emulated.Count == 0)
            {
                RemoveAll();
            }
            else
            {
                _mappings.ForEach(UnmapHardware);
            }
        }

        _domains.Remove(entry);
        entry.Domain.Dispose();
    }

    private List<IovaRange> ValidRanges()
    {
        List<IovaRange> valid = _domains.Count == 0 ? [] : [IovaRange.All];
        foreach (DomainEntry entry in _domains)
        {
            foreach (VfioGroup group in entry.Groups)
            {
                valid = Restrict(valid, entry.Domain.Aperture, group.IommuGroup.Hardware.ReservedRegions);
            }
        }

        return valid;
    }

    private static ulong PageSizesOf(ulong pageSizes)
        => (pageSizes & (PageSize - 1)) != 0 ? (pageSizes & ~(PageSize - 1)) | PageSize : pageSizes;

    /// <summary>What all domains can map; sizes below a page count as a page (<c>vfio_update_pgsize_bitmap</c>).</summary>
    private void UpdatePageSizes()
    {
        ulong before = Unit;
        ulong pageSizes = ulong.MaxValue;
        _domains.ForEach(entry => pageSizes &= entry.Domain.PageSizes);
        _pageSizes = PageSizesOf(pageSizes);
        if (_tracking && Unit != before)
        {
            // The bits stand for other pages now: what was dirty is not known any more, so that everything is.
            foreach (Type1Mapping mapping in _mappings)
            {
                ulong pages = (mapping.Range.Length + Unit - 1) >> BitOperations.TrailingZeroCount(Unit);
                DropBitmap(mapping);
                SetBitmap(mapping, pages);
                mapping.MarkAllDirty();
            }
        }
    }

    /// <summary>A hardware domain and the groups in it.</summary>
    private sealed class DomainEntry(IPagingDomain domain, VfioGroup first)
    {
        public IPagingDomain Domain { get; } = domain;

        public List<VfioGroup> Groups { get; } = [first];
    }
}

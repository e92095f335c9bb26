using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio;

public sealed partial class SpaprIommu
{
    /// <summary>Makes a window.</summary>
    /// <param name="owner">The caller's memory.</param>
    /// <param name="pageShift">log₂ of the page size.</param>
    /// <param name="size">Length in bytes.</param>
    /// <param name="levels">Levels of its table.</param>
    /// <param name="start">The bus address at which the platform put it.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.ENOTTY"/> in version 1; <see cref="Errno.EPERM"/> for another process; <see cref="Errno.ENXIO"/> without a
    /// group; <see cref="Errno.ENOSPC"/> when all windows are there; <see cref="Errno.EINVAL"/> for a page size, length or level that the platform does
    /// not have; <see cref="Errno.ENOMEM"/> over the limit; what the platform reported.
    /// </returns>
    /// <remarks>VFIO_IOMMU_SPAPR_TCE_CREATE (<c>tce_iommu_create_window</c>). The default window is made before, if that is still pending.</remarks>
    public Errno CreateWindow(IUserMemory owner, int pageShift, ulong size, uint levels, out ulong start)
    {
        lock (_lock)
        {
            start = 0;
            Errno error = CheckWindowCommand(owner);
            if (error == Errno.None)
            {
                error = CreateDefaultWindow();
            }

            return error == Errno.None ? CreateWindow(pageShift, size, levels, out start) : error;
        }
    }

    /// <summary>Removes a window with all that is mapped in it.</summary>
    /// <param name="owner">The caller's memory.</param>
    /// <param name="start">Its bus address. 0 while the default window is pending just cancels that.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.ENOTTY"/> in version 1; <see cref="Errno.EPERM"/> for another process; <see cref="Errno.ENXIO"/> without a
    /// group; <see cref="Errno.EINVAL"/> when there is no window.
    /// </returns>
    /// <remarks>VFIO_IOMMU_SPAPR_TCE_REMOVE (<c>tce_iommu_remove_window</c>).</remarks>
    public Errno RemoveWindow(IUserMemory owner, ulong start)
    {
        lock (_lock)
        {
            Errno error = CheckWindowCommand(owner);
            if (error != Errno.None)
            {
                return error;
            }

            if (_defaultWindowPending && start == 0)
            {
                _defaultWindowPending = false;
                return Errno.None;
            }

            int number = FindWindow(start);
            if (number < 0)
            {
                return Errno.EINVAL;
            }

            foreach ((_, ISpaprTableGroup tables) in _groups)
            {
                tables.UnsetWindow(number);
            }

            FreeWindow(number);
            return Errno.None;
        }
    }

    /// <summary>Maps memory; what was mapped there before is replaced.</summary>
    /// <param name="access">What devices may do; not nothing.</param>
    /// <param name="owner">The caller's memory.</param>
    /// <param name="address">First address in it.</param>
    /// <param name="iova">First bus address.</param>
    /// <param name="size">Length in bytes.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.EPERM"/> while mapping is off, for another process, or when memory consists of pages that are smaller than
    /// the window's; <see cref="Errno.ENXIO"/> outside all windows; <see cref="Errno.EINVAL"/> for what is not a multiple of the window's page, passes its
    /// end, gives no access, or (in version 2) is not registered; <see cref="Errno.EFAULT"/> for memory that is not there. After a failure nothing of
    /// the range is mapped that came before the failing page.
    /// </returns>
    /// <remarks>VFIO_IOMMU_MAP_DMA (<c>tce_iommu_build</c>, <c>tce_iommu_build_v2</c>).</remarks>
    public Errno Map(DmaAccess access, IUserMemory owner, ulong address, ulong iova, ulong size)
    {
        lock (_lock)
        {
            Errno error = OpenWindow(owner, iova, out SpaprWindow? window);
            if (error != Errno.None)
            {
                return error;
            }

            ulong mask = window!.PageSize - 1;
            if ((size & mask) != 0 || (address & mask) != 0 || access == DmaAccess.None || !window.ContainsPages(iova, size))
            {
                return Errno.EINVAL;
            }

            return Build(window, access, owner, address, iova, size);
        }
    }

    /// <summary>Takes mappings away; also a part of what one call mapped.</summary>
    /// <param name="owner">The caller's memory.</param>
    /// <param name="iova">First bus address.</param>
    /// <param name="size">Length in bytes.</param>
    /// <returns><see cref="Errno.None"/>, also for what is not mapped; <see cref="Errno.EPERM"/>, <see cref="Errno.ENXIO"/> and <see cref="Errno.EINVAL"/> as for <see cref="Map"/>.</returns>
    /// <remarks>VFIO_IOMMU_UNMAP_DMA (<c>tce_iommu_clear</c>).</remarks>
    public Errno Unmap(IUserMemory owner, ulong iova, ulong size)
    {
        lock (_lock)
        {
            Errno error = OpenWindow(owner, iova, out SpaprWindow? window);
            if (error != Errno.None)
            {
                return error;
            }

            if ((size & (window!.PageSize - 1)) != 0 || !window.ContainsPages(iova, size))
            {
                return Errno.EINVAL;
            }

            Drop(window.ClearRange(iova, size));
            return Errno.None;
        }
    }

    private static void UnsetWindows(ISpaprTableGroup tables, int count)
    {
        for (int i = 0; i < count; i++)
        {
            tables.UnsetWindow(i);
        }
    }

    private Errno CheckWindowCommand(IUserMemory owner)
        => !_isVersion2 ? Errno.ENOTTY
            : !TryBind(owner) ? Errno.EPERM
            : _groups.Count == 0 ? Errno.ENXIO
            : Errno.None;

    private bool IsOwner(IUserMemory caller) => _owner is null || ReferenceEquals(_owner, caller);

    private int FindWindow(ulong iova) => Array.FindIndex(_windows, window => window is not null && window.Contains(iova));

    private Errno CreateDefaultWindow()
    {
        if (!_defaultWindowPending)
        {
            return Errno.None;
        }

        if (_groups.Count == 0)
        {
            return Errno.ENODEV;
        }

        Errno error = CreateWindow(PageShift, _groups[0].Tables.DefaultWindowSize, levels: 1, out _);
        _defaultWindowPending = error != Errno.None;
        return error;
    }

    private Errno CreateWindow(int pageShift, ulong size, uint levels, out ulong start)
    {
        start = 0;
        int number = Array.IndexOf(_windows, null);
        if (number < 0)
        {
            return Errno.ENOSPC;
        }

        ISpaprTableGroup first = _groups[0].Tables;
        if (pageShift is < 0 or > 63 || (first.PageSizes & (1ul << pageShift)) == 0)
        {
            return Errno.EINVAL;
        }

        ulong tableSize = first.GetTableSize(pageShift, size, levels);
        if (tableSize == 0)
        {
            return Errno.EINVAL;
        }

        long pages = (long)(tableSize >> PageShift);
        if (!Account.TryCharge(pages, IsExempt))
        {
            return Errno.ENOMEM;
        }

        SpaprWindow window = new(first.GetWindowStart(number), pageShift, size, levels, tableSize);
        for (int i = 0; i < _groups.Count; i++)
        {
            Errno error = _groups[i].Tables.SetWindow(number, window);
            if (error != Errno.None)
            {
                while (--i >= 0)
                {
                    _groups[i].Tables.UnsetWindow(number);
                }

                Account.Uncharge(pages);
                return error;
            }
        }

        _windows[number] = window;
        start = window.Start;
        return Errno.None;
    }

    private void FreeWindow(int number)
    {
        if (_windows[number] is { } window)
        {
            Drop(window.ClearRange(window.Start, window.Size));
            Account.Uncharge((long)(window.TableSize >> PageShift));
            _windows[number] = null;
        }
    }

    private Errno Build(SpaprWindow window, DmaAccess access, IUserMemory owner, ulong address, ulong iova, ulong size)
    {
        for (ulong done = 0; done < size; done += window.PageSize)
        {
            Errno error = UsePage(window, owner, address + done, out SpaprMemoryBlock? block);
            if (error != Errno.None)
            {
                Drop(window.ClearRange(iova, done));
                return error;
            }

            if (window.Exchange(iova + done, new SpaprEntry(owner, address + done, access, block)) is { } old)
            {
                Drop(old);
            }
        }

        return Errno.None;
    }

    private Errno UsePage(SpaprWindow window, IUserMemory owner, ulong address, out SpaprMemoryBlock? block)
    {
        block = null;
        if (_isVersion2)
        {
            block = _driver.Memory.Use(owner, address, window.PageShift);
            return block is null ? Errno.EINVAL : Errno.None;
        }

        Errno error = SpaprMemoryRegistry.Touch(owner, address, PageSize);
        return error != Errno.None ? error : window.PageShift > PageShift ? Errno.EPERM : Errno.None;
    }

    private void Drop(List<SpaprEntry> entries) => entries.ForEach(Drop);

    private void Drop(SpaprEntry entry)
    {
        if (entry.Block is { } block)
        {
            _driver.Memory.Unuse(block);
        }
    }

    /// <summary>What a map and an unmap check first, and the window that they are for.</summary>
    private Errno OpenWindow(IUserMemory owner, ulong iova, out SpaprWindow? window)
    {
        window = null;
        if (!_isEnabled || !IsOwner(owner))
        {
            return Errno.EPERM;
        }

        Errno error = CreateDefaultWindow();
        if (error != Errno.None)
        {
            return error;
        }

        int number = FindWindow(iova);
        window = number < 0 ? null : _windows[number];
        return number < 0 ? Errno.ENXIO : Errno.None;
    }
}

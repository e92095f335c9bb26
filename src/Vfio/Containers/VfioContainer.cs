using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio;

/// <summary>What one open of <c>/dev/vfio/vfio</c> is: groups that share an address space (<c>vfio_container</c>).</summary>
/// <remarks>
/// <para>Made by <see cref="VfioHost.OpenContainer"/>. Files of containers, groups and devices may be closed in any order: attached groups keep the container's IOMMU alive.</para>
/// <para>
/// Lock order, outermost first: a group's lock, the device set's lock, the container's lock, the IOMMU's locks. The container's lock is held
/// around the members of <see cref="VfioIommuDriver"/> and attach, detach and release of <see cref="VfioIommu"/>; not around its commands.
/// </para>
/// </remarks>
public sealed class VfioContainer : VfioFile
{
    /// <summary>Most pages that one call pins or unpins: as many pointers as fit in a page.</summary>
    public const int MaximumPinnedPages = 512;

    private readonly Lock _lock = new();
    private readonly VfioHost _host;
    private readonly List<VfioGroup> _groups = [];
    private volatile VfioIommu? _iommu;
    private bool _noIommu;

    internal VfioContainer(VfioHost host)
    {
        _host = host;
    }

    /// <summary>The container's IOMMU, or null while none is set.</summary>
    public VfioIommu? Iommu => _iommu;

    /// <summary>Number of attached groups.</summary>
    public int GroupCount
    {
        get
        {
            lock (_lock)
            {
                return _groups.Count;
            }
        }
    }

    /// <summary>Tells whether an extension is there.</summary>
    /// <param name="extension">The number, such as <see cref="VfioUapi.VFIO_TYPE1v2_IOMMU"/>.</param>
    /// <returns>A positive number if so, else 0.</returns>
    /// <remarks>VFIO_CHECK_EXTENSION; spec vfio-core §5.2. Without an IOMMU the registered drivers are asked, newest first.</remarks>
    public int CheckExtension(uint extension)
    {
        lock (_lock)
        {
            if (_iommu is { } iommu)
            {
                return iommu.CheckExtension(extension);
            }

            int answer = 0;
            foreach (VfioIommuDriver driver in _host.IommuDrivers)
            {
                if (_groups.Count > 0 && driver.ServesNoIommu != _noIommu)
                {
                    continue;
                }

                answer = driver.CheckExtension(extension);
                if (answer > 0)
                {
                    break;
                }
            }

            return answer;
        }
    }

    /// <summary>Chooses how DMA is translated.</summary>
    /// <param name="type">The type, such as <see cref="VfioUapi.VFIO_TYPE1v2_IOMMU"/>.</param>
    /// <returns>
    /// <see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> when no group is attached or a type is set; <see cref="Errno.ENODEV"/> when no
    /// driver has the type; otherwise what the last driver reported.
    /// </returns>
    /// <remarks>VFIO_SET_IOMMU (<c>vfio_ioctl_set_iommu</c>).</remarks>
    public Errno SetIommu(uint type)
    {
        lock (_lock)
        {
            if (_groups.Count == 0 || _iommu is not null)
            {
                return Errno.EINVAL;
            }

            Errno error = Errno.ENODEV;
            foreach (VfioIommuDriver driver in _host.IommuDrivers)
            {
                if (driver.ServesNoIommu != _noIommu || driver.CheckExtension(type) <= 0)
                {
                    continue;
                }

                error = driver.Open(type, out VfioIommu? iommu);
                if (error != Errno.None)
                {
                    continue;
                }

                error = AttachAll(iommu!);
                if (error == Errno.None)
                {
                    _iommu = iommu;
                    return Errno.None;
                }

                iommu!.Release();
            }

            return error;
        }
    }

    /// <summary>Executes a container command in its binary form.</summary>
    /// <param name="command">The ioctl number.</param>
    /// <param name="argument">The caller's structure, or value.</param>
    /// <returns>The ioctl's result, or an errno.</returns>
    /// <remarks><c>vfio_fops_unl_ioctl</c>; spec vfio-core §5.2. What the container does not own goes to the IOMMU: EINVAL while there is none.</remarks>
    public override IoResult Ioctl(uint command, UserArgument argument)
        => command switch
        {
            VfioUapi.VFIO_GET_API_VERSION => IoResult.Success(VfioUapi.VFIO_API_VERSION),
            VfioUapi.VFIO_CHECK_EXTENSION => IoResult.Success(argument.Value > uint.MaxValue ? 0 : CheckExtension((uint)argument.Value)),
            VfioUapi.VFIO_SET_IOMMU => argument.Value > uint.MaxValue ? SetIommu(uint.MaxValue) : SetIommu((uint)argument.Value),
            _ => _iommu?.Ioctl(command, argument) ?? Errno.EINVAL,
        };

    /// <summary>Pins pages for an open device of the container.</summary>
    /// <param name="device">The device; it returns true from <c>CanPin</c>.</param>
    /// <param name="iova">First address, page aligned.</param>
    /// <param name="count">Number of pages.</param>
    /// <param name="access">What the device will do.</param>
    /// <param name="pages">Receives the pages; all null after a failure.</param>
    /// <returns>The number of pages, or an errno: spec vfio-core §7.1.</returns>
    /// <remarks><c>vfio_pin_pages</c> (<c>vfio_device_container_pin_pages</c>). Devices rather use <see cref="VfioDevice.Dma"/>.</remarks>
    public IoResult PinPages(VfioDevice device, ulong iova, int count, DmaAccess access, Span<PinnedPage?> pages)
    {
        if (count == 0 || !IsOpenHere(device) || !device.CanPin)
        {
            return Errno.EINVAL;
        }

        if (count is < 0 or > MaximumPinnedPages)
        {
            return Errno.E2BIG;
        }

        if (pages.Length < count || _iommu is not { } iommu)
        {
            return pages.Length < count ? Errno.EINVAL : Errno.ENOTTY;
        }

        Errno error = iommu.PinPages(device.Group!, iova, access, pages[..count]);
        return error != Errno.None ? error : IoResult.Success(count);
    }

    /// <summary>Gives pages back that an open device pinned; what is not pinned is passed over.</summary>
    /// <param name="device">The device.</param>
    /// <param name="iova">First address.</param>
    /// <param name="count">Number of pages, 1 to 512; other numbers do nothing.</param>
    /// <remarks><c>vfio_unpin_pages</c>.</remarks>
    public void UnpinPages(VfioDevice device, ulong iova, int count)
    {
        if (count is > 0 and <= MaximumPinnedPages && IsOpenHere(device) && device.CanPin)
        {
            _iommu?.UnpinPages(iova, count);
        }
    }

    /// <summary>Closes the user's handle. Attached groups keep what the container holds.</summary>
    protected override void Close()
    {
    }

    /// <summary>Takes a group in. The caller holds the group's lock.</summary>
    internal Errno Attach(VfioGroup group)
    {
        bool noIommu = group.Type == VfioGroupType.NoIommu;
        if (noIommu && !_host.HasCapability(CallerCapabilities.RawIo))
        {
            return Errno.EPERM;
        }

        lock (_lock)
        {
            if (_groups.Count > 0 && _noIommu != noIommu)
            {
                return Errno.EPERM;
            }

            bool claims = group.Type == VfioGroupType.Iommu;
            Errno error = claims ? group.IommuGroup.ClaimDma(group) : Errno.None;
            if (error != Errno.None)
            {
                return error;
            }

            error = _iommu?.AttachGroup(group) ?? Errno.None;
            if (error != Errno.None)
            {
                if (claims)
                {
                    group.IommuGroup.ReleaseDma(group);
                }

                return error;
            }

            _groups.Add(group);
            _noIommu = noIommu;
            return Errno.None;
        }
    }

    /// <summary>Lets a group go; the last one ends the IOMMU. The caller holds the group's lock.</summary>
    internal void Detach(VfioGroup group)
    {
        lock (_lock)
        {
            VfioIommu? iommu = _iommu;
            iommu?.DetachGroup(group);
            if (group.Type == VfioGroupType.Iommu)
            {
                group.IommuGroup.ReleaseDma(group);
            }

            _groups.Remove(group);
            if (_groups.Count == 0)
            {
                _iommu = null;
                _noIommu = false;
                iommu?.Release();
            }
        }
    }

    private bool IsOpenHere(VfioDevice device) => ReferenceEquals(device.OpenContainer, this) && device.Group is not null;

    private Errno AttachAll(VfioIommu iommu)
    {
        for (int i = 0; i < _groups.Count; i++)
        {
            Errno error = iommu.AttachGroup(_groups[i]);
            if (error == Errno.None)
            {
                continue;
            }

            while (--i >= 0)
            {
                iommu.DetachGroup(_groups[i]);
            }

            return error;
        }

        return Errno.None;
    }
}

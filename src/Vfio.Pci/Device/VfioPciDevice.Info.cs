using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Pci;

/// <content>Information, mapping and commands (spec vfio-core §5.6 to §5.11).</content>
public abstract partial class VfioPciDevice
{
    /// <inheritdoc/>
    protected sealed override Errno GetRegionInfo(ref RegionInfo info, CapabilityChain capabilities)
    {
        info.Position = PciLayout.Position(info.Index);
        info.Size = 0;
        info.Flags = RegionFlags.None;
        switch (info.Index)
        {
            case < 6:
                if (_bars[info.Index] is { } bar)
                {
                    DescribeBar(bar, ref info, capabilities);
                }

                return Errno.None;
            case (uint)PciRegion.Rom:
                info.Size = Configuration.RomSize;
                info.Flags = info.Size == 0 ? RegionFlags.None : RegionFlags.Read;
                return Errno.None;
            case (uint)PciRegion.Config:
                info.Size = (ulong)Config.Length;
                info.Flags = RegionFlags.Read | RegionFlags.Write;
                return Errno.None;
            default:
                return Errno.EINVAL;
        }
    }

    /// <inheritdoc/>
    protected sealed override Errno Map(in MapRequest request, out MappableMemory memory)
    {
        memory = default;
        uint region = PciLayout.Region(request.Position);
        ulong offset = PciLayout.Offset(request.Position);
        if (region >= 6 || !request.Shared || request.Length == 0 || _bars[region] is not { } bar)
        {
            return Errno.EINVAL;
        }

        foreach (BarArea area in bar.Mappable)
        {
            if (offset >= area.Offset && offset < area.End && request.Length <= area.End - offset)
            {
                memory = new MappableMemory(area.Memory!.Descriptor, area.Memory.FileOffset + (offset - area.Offset), request.Length);
                return Errno.None;
            }
        }

        return Errno.EINVAL;
    }

    /// <inheritdoc/>
    protected sealed override IoResult Ioctl(uint command, UserArgument argument)
    {
        if (!_lowPower.IsEngaged)
        {
            return Execute(command, argument);
        }

        if (!TryBeginAccess())
        {
            return Errno.EIO;
        }

        try
        {
            return Execute(command, argument);
        }
        finally
        {
            EndAccess();
        }
    }

    /// <summary>
    /// The features of vfio-pci: VF token, low power, export of memory. A device with features of its own overrides this and passes the
    /// others on.
    /// </summary>
    /// <inheritdoc/>
    protected override IoResult DeviceFeature(uint flags, UserArgument data, ulong size)
    {
        if (!_lowPower.IsEngaged)
        {
            return ExecuteFeature(flags, data, size);
        }

        if (!TryBeginAccess())
        {
            return Errno.EIO;
        }

        try
        {
            return ExecuteFeature(flags, data, size);
        }
        finally
        {
            EndAccess();
        }
    }

    private IoResult ExecuteFeature(uint flags, UserArgument data, ulong size) => (flags & VfioUapi.VFIO_DEVICE_FEATURE_MASK) switch
    {
        VfioUapi.VFIO_DEVICE_FEATURE_PCI_VF_TOKEN => TokenFeature(flags, data, size),
        VfioUapi.VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY => LowPowerEntryFeature(flags, data, size, withWakeup: false),
        VfioUapi.VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP => LowPowerEntryFeature(flags, data, size, withWakeup: true),
        VfioUapi.VFIO_DEVICE_FEATURE_LOW_POWER_EXIT => LowPowerExitFeature(flags, size),
        VfioUapi.VFIO_DEVICE_FEATURE_DMA_BUF => DmaBufFeature(flags, data, size),
        _ => Errno.ENOTTY,
    };

    private IoResult Execute(uint command, UserArgument argument) => command switch
    {
        VfioUapi.VFIO_DEVICE_GET_INFO => GetInfo(argument),
        VfioUapi.VFIO_DEVICE_GET_IRQ_INFO => IrqInfo.Answer(argument, PciLayout.InterruptCount, DescribeIrq),
        VfioUapi.VFIO_DEVICE_SET_IRQS => Interrupts.SetIrqs(argument, Host.EventLoop),
        VfioUapi.VFIO_DEVICE_RESET => ResetByUser(),
        VfioUapi.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO => GetHotResetInfo(argument),
        VfioUapi.VFIO_DEVICE_PCI_HOT_RESET => HotReset(argument),
        VfioUapi.VFIO_DEVICE_IOEVENTFD => SetIoEventFd(argument),
        _ => Errno.ENOTTY,
    };

    private static void DescribeBar(PciBar bar, ref RegionInfo info, CapabilityChain capabilities)
    {
        info.Size = bar.Size;
        info.Flags = RegionFlags.Read | RegionFlags.Write;
        if (bar.Mappable.Length == 0)
        {
            return;
        }

        info.Flags |= RegionFlags.Map;
        if (!bar.IsWhollyMappable)
        {
            Span<SparseArea> areas = stackalloc SparseArea[Math.Min(bar.Mappable.Length, 64)];
            for (int i = 0; i < areas.Length; i++)
            {
                areas[i] = new SparseArea(bar.Mappable[i].Offset, bar.Mappable[i].Length);
            }

            capabilities.AddSparseMap(areas);
        }

        if (bar.HoldsMsixTable)
        {
            capabilities.Add((ushort)VfioUapi.VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, 1, default);
        }
    }

    private IoResult GetInfo(UserArgument argument) => new DeviceInfo(
        DeviceFlags.Pci | (Configuration.CanReset ? DeviceFlags.Reset : DeviceFlags.None), PciLayout.RegionCount, PciLayout.InterruptCount).AnswerTo(argument);

    private IrqInfo DescribeIrq(uint index)
    {
        uint count = Interrupts.Count((PciInterrupt)index);
        return new IrqInfo(index, (PciInterrupt)index switch
        {
            PciInterrupt.Intx => IrqInfoFlags.EventFd | IrqInfoFlags.Maskable | IrqInfoFlags.AutoMasked,

            // Vectors may be added while MSI-X is enabled.
            PciInterrupt.Msix when count > 0 => IrqInfoFlags.EventFd,
            _ => IrqInfoFlags.EventFd | IrqInfoFlags.NoResize,
        }, count);
    }

    private IoResult ResetByUser()
    {
        if (!Configuration.CanReset)
        {
            return Errno.EINVAL;
        }

        LogReset(Name, ResetKind.DeviceReset);
        Reset(ResetKind.DeviceReset);
        return AwaitCancelledWorks();
    }
}

using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Pci;

/// <content>Reset of all functions of a bus (GET_PCI_HOT_RESET_INFO, PCI_HOT_RESET; spec vfio-core §5.11).</content>
public abstract partial class VfioPciDevice
{
    private const int HotResetHeader = 12;

    private IoResult GetHotResetInfo(UserArgument argument)
    {
        const int EntrySize = 8;
        Errno error = argument.ReadExtensible(HotResetHeader, out vfio_pci_hot_reset_info info, out uint argsz);
        if (error != Errno.None)
        {
            return error;
        }

        if (Configuration.Place is not { Bus: { CanReset: true } bus })
        {
            return Errno.ENODEV;
        }

        IReadOnlyList<PciFunction> functions = bus.Functions;
        info.count = (uint)functions.Count;
        info.flags = 0;
        if ((ulong)functions.Count * EntrySize > argsz - HotResetHeader)
        {
            error = argument.Write(0, in info);
            return error != Errno.None ? error : Errno.ENOSPC;
        }

        vfio_pci_dependent_device[] entries = new vfio_pci_dependent_device[functions.Count];
        error = Describe(functions, entries, ref info);
        for (int i = 0; i < entries.Length && error == Errno.None; i++)
        {
            error = argument.Write((ulong)(HotResetHeader + (i * EntrySize)), in entries[i]);
        }

        return error != Errno.None ? error : argument.Write(0, in info);
    }

    /// <summary>Says of each function whose it is: by groups to users of groups, by ids of their iommufd to others.</summary>
    private Errno Describe(IReadOnlyList<PciFunction> functions, Span<vfio_pci_dependent_device> entries, ref vfio_pci_hot_reset_info info)
    {
        lock (DeviceSet!.Lock)
        {
            bool ownsAll = true;
            for (int i = 0; i < entries.Length; i++)
            {
                PciFunction function = functions[i];
                entries[i] = new vfio_pci_dependent_device { segment = function.Bus.Segment, bus = function.Bus.Number, devfn = function.DeviceFunction };
                if (IsOpenedByCharacterDevice)
                {
                    entries[i].devid = GetOwnerId(function, BoundContext!);
                    ownsAll &= entries[i].devid != VfioUapi.VFIO_PCI_DEVID_NOT_OWNED;
                }
                else if (function.Group is { } group)
                {
                    entries[i].group_id = (uint)group.Id;
                }
                else
                {
                    return Errno.EPERM;
                }
            }

            info.flags = !IsOpenedByCharacterDevice ? 0
                : VfioUapi.VFIO_PCI_HOT_RESET_FLAG_DEV_ID | (ownsAll ? VfioUapi.VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED : 0);
            return Errno.None;
        }
    }

    private static uint GetOwnerId(PciFunction function, IommufdContext context)
    {
        uint id = 0;
        return (function.Device?.GetDeviceId(context, out id) ?? Errno.ENODEV) switch
        {
            Errno.None => id,
            Errno.ENOENT => VfioUapi.VFIO_PCI_DEVID_OWNED,
            _ => VfioUapi.VFIO_PCI_DEVID_NOT_OWNED,
        };
    }

    private IoResult HotReset(UserArgument argument)
    {
        Errno error = argument.ReadExtensible(HotResetHeader, out vfio_pci_hot_reset request, out _);
        if (error != Errno.None)
        {
            return error;
        }

        bool byContext = IsOpenedByCharacterDevice;
        if (request.flags != 0 || byContext != (request.count == 0))
        {
            return Errno.EINVAL;
        }

        if (Configuration.Place is not { Bus: { CanReset: true } bus })
        {
            return Errno.ENODEV;
        }

        if (request.count > (uint)bus.Functions.Count)
        {
            return Errno.EINVAL;
        }

        VfioGroupFile[] groups = new VfioGroupFile[request.count];
        error = ReadGroups(argument, groups);
        return error != Errno.None ? error : ResetBus(bus, groups, byContext ? BoundContext : null);
    }

    private static Errno ReadGroups(UserArgument argument, Span<VfioGroupFile> groups)
    {
        Span<int> numbers = groups.Length <= 64 ? stackalloc int[groups.Length] : new int[groups.Length];
        for (int i = 0; i < numbers.Length; i++)
        {
            Errno error = argument.Read((ulong)(HotResetHeader + (i * sizeof(int))), out numbers[i]);
            if (error != Errno.None)
            {
                return error;
            }
        }

        for (int i = 0; i < numbers.Length; i++)
        {
            if (argument.Files is not { } files || files.TryGet(numbers[i], out object? file) != Errno.None)
            {
                return Errno.EBADF;
            }

            if (file is not VfioGroupFile group)
            {
                return Errno.EINVAL;
            }

            groups[i] = group;
        }

        return Errno.None;
    }

    /// <summary>Resets all functions if VFIO has all of them and the user owns all devices (<c>vfio_pci_dev_set_hot_reset</c>).</summary>
    private Errno ResetBus(PciBus bus, VfioGroupFile[] groups, IommufdContext? context)
    {
        lock (DeviceSet!.Lock)
        {
            foreach (PciFunction function in bus.Functions)
            {
                if (function.Device is not { Group: not null } device)
                {
                    return Errno.EINVAL;
                }

                bool owned = context is not null
                    ? device.GetDeviceId(context, out _) is Errno.None or Errno.ENOENT
                    : Array.Exists(groups, group => VfioKvm.HasDevice(group, device));
                if (!owned)
                {
                    return Errno.EINVAL;
                }
            }

            foreach (PciFunction function in bus.Functions)
            {
                function.Device!.ResetByBus();
            }

            Errno error = Errno.None;
            foreach (PciFunction function in bus.Functions)
            {
                Errno awaited = function.Device!.AwaitCancelledWorks();
                error = error == Errno.None ? awaited : error;
            }

            return error;
        }
    }

    private void ResetByBus()
    {
        LogReset(Name, ResetKind.BusReset);
        Reset(ResetKind.BusReset);
        Migration?.Reset();
    }
}

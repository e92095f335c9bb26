using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio;

public sealed partial class SpaprIommu
{
    private const uint MapFlags = VfioUapi.VFIO_DMA_MAP_FLAG_READ | VfioUapi.VFIO_DMA_MAP_FLAG_WRITE;

    /// <inheritdoc/>
    /// <remarks><c>tce_iommu_ioctl</c>; spec vfio-core §11 gives the order of the checks of each command.</remarks>
    public override IoResult Ioctl(uint command, UserArgument argument)
    {
        IUserMemory caller = argument.Memory ?? s_processMemory;
        bool isOn;
        lock (_lock)
        {
            if (_released)
            {
                return Errno.EINVAL;
            }

            if (!IsOwner(caller))
            {
                return Errno.EPERM;
            }

            isOn = _isEnabled;
        }

        return command switch
        {
            VfioUapi.VFIO_IOMMU_SPAPR_TCE_GET_INFO => InfoCommand(argument),
            VfioUapi.VFIO_IOMMU_MAP_DMA => isOn ? MapCommand(argument, caller) : Errno.EPERM,
            VfioUapi.VFIO_IOMMU_UNMAP_DMA => isOn ? UnmapCommand(argument, caller) : Errno.EPERM,
            VfioUapi.VFIO_IOMMU_ENABLE => Enable(caller),
            VfioUapi.VFIO_IOMMU_DISABLE => Disable(),
            VfioUapi.VFIO_IOMMU_SPAPR_REGISTER_MEMORY when _isVersion2 => MemoryCommand(argument, caller, isRegistration: true),
            VfioUapi.VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY when _isVersion2 => MemoryCommand(argument, caller, isRegistration: false),
            VfioUapi.VFIO_IOMMU_SPAPR_TCE_CREATE when _isVersion2 => CreateCommand(argument, caller),
            VfioUapi.VFIO_IOMMU_SPAPR_TCE_REMOVE when _isVersion2 => RemoveCommand(argument, caller),
            VfioUapi.VFIO_EEH_PE_OP => EndpointCommand(argument),
            _ => Errno.ENOTTY,
        };
    }

    private IoResult InfoCommand(UserArgument argument)
    {
        const int Minimum = 16;
        Errno error = GetInfo(out SpaprInfo info);
        if (error != Errno.None)
        {
            return error;
        }

        error = argument.ReadExtensible(Minimum, out vfio_iommu_spapr_tce_info raw, out uint argsz);
        if (error != Errno.None)
        {
            return error;
        }

        int size = Marshal.SizeOf<vfio_iommu_spapr_tce_info>();
        raw.flags = info.HasDynamicWindows ? VfioUapi.VFIO_IOMMU_SPAPR_INFO_DDW : 0;
        raw.dma32_window_start = info.DefaultWindowStart;
        raw.dma32_window_size = info.DefaultWindowSize;
        raw.ddw = new vfio_iommu_spapr_tce_ddw_info
        {
            pgsizes = info.PageSizes,
            max_dynamic_windows_supported = info.MaximumWindows,
            levels = info.MaximumLevels,
        };
        return argument.Write(0, MemoryMarshal.AsBytes(new ReadOnlySpan<vfio_iommu_spapr_tce_info>(in raw))[..(argsz >= size ? size : Minimum)]);
    }

    private IoResult MapCommand(UserArgument argument, IUserMemory caller)
    {
        Errno error = argument.ReadExtensible(32, out vfio_iommu_type1_dma_map map, out _);
        if (error != Errno.None)
        {
            return error;
        }

        if ((map.flags & ~MapFlags) != 0)
        {
            return Errno.EINVAL;
        }

        DmaAccess access = ((map.flags & VfioUapi.VFIO_DMA_MAP_FLAG_READ) != 0 ? DmaAccess.Read : DmaAccess.None)
            | ((map.flags & VfioUapi.VFIO_DMA_MAP_FLAG_WRITE) != 0 ? DmaAccess.Write : DmaAccess.None);
        return Map(access, caller, map.vaddr, map.iova, map.size);
    }

    private IoResult UnmapCommand(UserArgument argument, IUserMemory caller)
    {
        Errno error = argument.ReadExtensible(24, out vfio_iommu_type1_dma_unmap unmap, out _);
        return error != Errno.None ? error : unmap.flags != 0 ? Errno.EINVAL : Unmap(caller, unmap.iova, unmap.size);
    }

    private IoResult MemoryCommand(UserArgument argument, IUserMemory caller, bool isRegistration)
    {
        lock (_lock)
        {
            // A registration binds the container even when it turns out to be malformed.
            if (isRegistration ? !TryBind(caller) : _owner is null)
            {
                return Errno.EPERM;
            }
        }

        Errno error = argument.ReadExtensible(24, out vfio_iommu_spapr_register_memory block, out _);
        if (error != Errno.None || block.flags != 0)
        {
            return error != Errno.None ? error : Errno.EINVAL;
        }

        return isRegistration ? RegisterMemory(caller, block.vaddr, block.size) : UnregisterMemory(caller, block.vaddr, block.size);
    }

    private IoResult CreateCommand(UserArgument argument, IUserMemory caller)
    {
        const ulong StartOffset = 32;
        Errno error = BeginWindowCommand(caller);
        if (error == Errno.None)
        {
            error = argument.ReadExtensible(40, out vfio_iommu_spapr_tce_create create, out _);
            if (error == Errno.None)
            {
                error = create.flags != 0 ? Errno.EINVAL
                    : CreateWindow(caller, create.page_shift > 63 ? -1 : (int)create.page_shift, create.window_size, create.levels, out create.start_addr);
            }

            if (error == Errno.None)
            {
                error = argument.Write(StartOffset, create.start_addr);
                if (error != Errno.None)
                {
                    _ = RemoveWindow(caller, create.start_addr);
                }
            }
        }

        return error;
    }

    private IoResult RemoveCommand(UserArgument argument, IUserMemory caller)
    {
        Errno error = BeginWindowCommand(caller);
        if (error != Errno.None)
        {
            return error;
        }

        error = argument.ReadExtensible(16, out vfio_iommu_spapr_tce_remove remove, out _);
        return error != Errno.None ? error : remove.flags != 0 ? Errno.EINVAL : RemoveWindow(caller, remove.start_addr);
    }

    private Errno BeginWindowCommand(IUserMemory caller)
    {
        lock (_lock)
        {
            return CheckWindowCommand(caller);
        }
    }

    private IoResult EndpointCommand(UserArgument argument)
    {
        SpaprEndpoint?[] endpoints = GetEndpoints();
        foreach (SpaprEndpoint? endpoint in endpoints)
        {
            IoResult result = endpoint is null ? Errno.ENODEV : ExecuteRaw(endpoint, argument);
            if (result.IsError || result.Value != 0)
            {
                return result;
            }
        }

        return IoResult.Success();
    }

    /// <summary>Executes the operation on one endpoint (<c>vfio_spapr_iommu_eeh_ioctl</c>).</summary>
    private static IoResult ExecuteRaw(SpaprEndpoint endpoint, UserArgument argument)
    {
        const int Minimum = 12;
        const uint WithError = 40;
        Span<uint> head = stackalloc uint[3];
        Errno error = argument.Read(0, MemoryMarshal.AsBytes(head));
        if (error != Errno.None)
        {
            return error;
        }

        (uint argsz, uint flags, uint operation) = (head[0], head[1], head[2]);
        if (argsz < Minimum || flags != 0)
        {
            return Errno.EINVAL;
        }

        if (operation != VfioUapi.VFIO_EEH_PE_INJECT_ERR)
        {
            return endpoint.Execute((SpaprEndpointOperation)operation);
        }

        if (argsz < WithError)
        {
            return Errno.EINVAL;
        }

        error = argument.Read(0, out vfio_eeh_pe_op raw);
        return error != Errno.None ? error : endpoint.Inject(raw.err.type, raw.err.func, raw.err.addr, raw.err.mask);
    }
}

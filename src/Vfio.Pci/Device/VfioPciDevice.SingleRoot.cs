using Vfio.Abi;

namespace Vfio.Pci;

/// <content>Virtual functions (PCI Express, single root I/O virtualization), as their host has them.</content>
public abstract partial class VfioPciDevice
{
    private const int SingleRootControl = 0x08;
    private const int SingleRootCount = 0x10;

    /// <summary>VF enable and VF memory space enable.</summary>
    private const uint SingleRootEnable = 0x0009;
    private volatile int _virtualFunctionCount;

    /// <summary>The virtual functions that this physical function can have; null when it has none.</summary>
    public VirtualFunctionSet? VirtualFunctionSet => Configuration.VirtualFunctions;

    /// <summary>How many virtual functions are enabled. Neither a reset nor the last close changes it.</summary>
    public int VirtualFunctionCount => _virtualFunctionCount;

    /// <summary>
    /// Enables or disables virtual functions, for the host that has this device. The host makes their devices afterwards, by
    /// <see cref="VirtualFunctionSet.Create"/>, and removes them before it disables them.
    /// </summary>
    /// <param name="count">How many; 0 disables them.</param>
    /// <returns>ENOENT: the device has none. ERANGE: it has not so many. EBUSY: another number is enabled.</returns>
    /// <remarks><c>sriov_numvfs_store</c>, <c>vfio_pci_core_sriov_configure</c>.</remarks>
    public Errno TrySetVirtualFunctions(int count)
    {
        lock (StateLock)
        {
            if (Configuration.VirtualFunctions is not { } functions)
            {
                return Errno.ENOENT;
            }

            if (count < 0 || count > functions.Limit)
            {
                return Errno.ERANGE;
            }

            if (count == _virtualFunctionCount)
            {
                return Errno.None;
            }

            if (count != 0 && _virtualFunctionCount != 0)
            {
                return Errno.EBUSY;
            }

            _virtualFunctionCount = count;
            ShowVirtualFunctions();
            OnVirtualFunctionsChanged(count);
            return Errno.None;
        }
    }

    /// <summary>Brings the capability up to date.</summary>
    private void ShowVirtualFunctions()
    {
        if (Configuration.SingleRootOffset is not 0 and var at)
        {
            Config.Update(at + SingleRootCount, 0xFFFF, (uint)_virtualFunctionCount);
            Config.Update(at + SingleRootControl, SingleRootEnable, _virtualFunctionCount == 0 ? 0 : SingleRootEnable);
        }
    }
}

using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Run;

/// <content>Virtual functions, which stand on the bus next to their physical one.</content>
public sealed partial class ProgramFunction
{
    private readonly SemaphoreSlim _changing = new(1, 1);
    private volatile ProgramFunction[] _virtual = [];

    /// <summary>Of a virtual function, its physical one; null for others.</summary>
    public ProgramFunction? Physical { get; internal init; }

    /// <summary>The virtual functions that are enabled.</summary>
    public IReadOnlyList<ProgramFunction> VirtualFunctions => _virtual;

    /// <summary>What virtual functions it can have; null when it has none, or is not bound.</summary>
    internal VirtualFunctionSet? VirtualFunctionSet => (Device as VfioPciDevice)?.VirtualFunctionSet;

    /// <summary>Enables or disables virtual functions: bound to vfio-pci, each in an IOMMU group of its own. Users of those that go are asked, and waited for.</summary>
    /// <param name="count">How many; 0 for none.</param>
    /// <returns>ENOENT: the function has none, or is not bound. ERANGE: not so many. EBUSY: another number is enabled. ENOMEM: something stands in their places.</returns>
    /// <remarks>As a write to sysfs' <c>sriov_numvfs</c>.</remarks>
    public async Task<Errno> TrySetVirtualFunctionsAsync(int count)
    {
        await _changing.WaitAsync();
        try
        {
            if (Device is not VfioPciDevice { VirtualFunctionSet: { } set } device)
            {
                return Errno.ENOENT;
            }

            if (count == 0)
            {
                await RemoveVirtualFunctionsAsync();
                return device.TrySetVirtualFunctions(0);
            }

            int before = device.VirtualFunctionCount;
            Errno error = device.TrySetVirtualFunctions(count);
            if (error != Errno.None || before == count)
            {
                return error;
            }

            try
            {
                for (int i = 0; i < count; i++)
                {
                    int index = i;
                    PciName place = Name.Offset(set.FirstOffset + (i * set.Stride));
                    _virtual = [.. _virtual, _bus.Add(place, () => set.Create(index), this)];
                }

                return Errno.None;
            }
            catch (VfioException exception)
            {
                await RemoveVirtualFunctionsAsync();
                _ = device.TrySetVirtualFunctions(0);
                return exception.Errno == Errno.EEXIST ? Errno.ENOMEM : exception.Errno;
            }
        }
        finally
        {
            _changing.Release();
        }
    }

    private async Task RemoveVirtualFunctionsAsync()
    {
        ProgramFunction[] functions = _virtual;
        for (int i = functions.Length - 1; i >= 0; i--)
        {
            await _bus.RemoveAsync(functions[i]);
            _virtual = functions[..i];
        }
    }
}

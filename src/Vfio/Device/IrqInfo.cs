using Vfio.Abi;

namespace Vfio;

/// <summary>What an interrupt index is: the content of <c>vfio_irq_info</c>.</summary>
/// <param name="Index">The index; for PCI see <see cref="PciInterrupt"/>.</param>
/// <param name="Flags">How its interrupts behave.</param>
/// <param name="Count">How many interrupts it has; 0 when the device has none of this kind.</param>
public readonly record struct IrqInfo(uint Index, IrqInfoFlags Flags, uint Count)
{
    /// <summary>Answers VFIO_DEVICE_GET_IRQ_INFO.</summary>
    /// <param name="argument">The caller's structure.</param>
    /// <param name="kinds">Interrupt indices that the device has.</param>
    /// <param name="describe">Describes one of them.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> for a structure that is too short, and for an index that the device has not; <see cref="Errno.EFAULT"/>.</returns>
    public static Errno Answer(UserArgument argument, uint kinds, Func<uint, IrqInfo> describe)
    {
        ArgumentNullException.ThrowIfNull(describe);
        Errno error = argument.Read(0, out vfio_irq_info raw);
        if (error != Errno.None)
        {
            return error;
        }

        if (raw.argsz < 16 || raw.index >= kinds)
        {
            return Errno.EINVAL;
        }

        IrqInfo info = describe(raw.index);
        (raw.count, raw.flags) = (info.Count, (uint)info.Flags);
        return argument.Write(0, in raw);
    }
}

using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio;

/// <summary>What a device is: the content of <c>vfio_device_info</c>.</summary>
/// <param name="Flags">Kind and abilities.</param>
/// <param name="RegionCount">Number of region indices.</param>
/// <param name="IrqCount">Number of interrupt indices.</param>
public readonly record struct DeviceInfo(DeviceFlags Flags, uint RegionCount, uint IrqCount)
{
    /// <summary>Answers VFIO_DEVICE_GET_INFO.</summary>
    /// <param name="argument">The caller's structure; as much of the answer is written as it has room for.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> for one that is too short; <see cref="Errno.EFAULT"/>.</returns>
    public Errno AnswerTo(UserArgument argument)
    {
        const int Minimum = 16;
        Errno error = argument.ReadExtensible(Minimum, out vfio_device_info _, out uint argsz);
        if (error != Errno.None)
        {
            return error;
        }

        var info = new vfio_device_info { argsz = argsz, flags = (uint)Flags, num_regions = RegionCount, num_irqs = IrqCount };
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(new ReadOnlySpan<vfio_device_info>(in info));
        return argument.Write(0, bytes[..(int)Math.Min(argsz, (uint)bytes.Length)]);
    }
}

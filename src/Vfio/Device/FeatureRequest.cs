using Vfio.Abi;
using Vfio.Linux;

namespace Vfio;

/// <summary>The check that every DEVICE_FEATURE begins with, for devices with features of their own.</summary>
public static class FeatureRequest
{
    private const uint Get = VfioUapi.VFIO_DEVICE_FEATURE_GET;
    private const uint Set = VfioUapi.VFIO_DEVICE_FEATURE_SET;

    /// <summary>Checks what is asked of a feature against what it can.</summary>
    /// <param name="flags">The caller's flags, as <see cref="VfioDevice.DeviceFeature"/> gets them.</param>
    /// <param name="size">The caller's data size in bytes.</param>
    /// <param name="supported">VFIO_DEVICE_FEATURE_GET, SET, or both.</param>
    /// <param name="needed">The data size that the feature needs.</param>
    /// <param name="done">The result when there is nothing to execute: 0 for a probe, or <see cref="Errno.EINVAL"/>.</param>
    /// <returns>True when the feature shall be executed.</returns>
    /// <remarks><c>vfio_check_feature</c>; spec vfio-core §5.12.</remarks>
    public static bool ShallExecute(uint flags, ulong size, uint supported, ulong needed, out IoResult done)
    {
        done = IoResult.Success();
        uint operation = flags & (Get | Set);
        if ((operation & ~supported) != 0)
        {
            done = Errno.EINVAL;
            return false;
        }

        if ((flags & VfioUapi.VFIO_DEVICE_FEATURE_PROBE) != 0)
        {
            return false;
        }

        if (operation == 0 || size < needed)
        {
            done = Errno.EINVAL;
            return false;
        }

        return true;
    }
}

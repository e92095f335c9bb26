namespace Vfio.Abi;

/// <summary>The <c>type</c> of an entry in the reply to <see cref="VfioUserCommand.DeviceGetRegionIoFds"/>.</summary>
public enum VfioUserIoFdType : uint
{
    IoEventFd = 0,
    IoRegionFd = 1,

    /// <summary>Extension of libvfio-user.</summary>
    ShadowIoEventFd = 2,
}

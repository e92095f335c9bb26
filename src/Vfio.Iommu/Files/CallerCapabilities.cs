namespace Vfio;

/// <summary>Privileges of a caller that the core asks about.</summary>
[Flags]
public enum CallerCapabilities
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>May use devices without an IOMMU (<c>CAP_SYS_RAWIO</c>).</summary>
    RawIo = 1,

    /// <summary>Is exempt from the locked memory limit (<c>CAP_IPC_LOCK</c>).</summary>
    IpcLock = 2,

    /// <summary>May change accounting modes (<c>CAP_SYS_RESOURCE</c>).</summary>
    SysResource = 4,

    /// <summary>All of them.</summary>
    All = RawIo | IpcLock | SysResource,
}

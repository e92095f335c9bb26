namespace Vfio.Drivers.Nvme;

/// <summary>The kind of a status code (SCT; Base 2.0 figure 93).</summary>
public enum NvmeStatusType : byte
{
    /// <summary>Generic command status: any command.</summary>
    Generic = 0,

    /// <summary>Command specific status: its meaning depends on the command.</summary>
    CommandSpecific = 1,

    /// <summary>Media and data integrity errors.</summary>
    MediaAndDataIntegrity = 2,

    /// <summary>Path related status.</summary>
    PathRelated = 3,

    /// <summary>Vendor specific.</summary>
    VendorSpecific = 7,
}

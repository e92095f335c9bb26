namespace Vfio.Iommu;

/// <summary>Who uses an iommufd context: its privileges and the account that its memory is charged to.</summary>
/// <param name="Capabilities">What it is privileged to.</param>
/// <param name="Account">Its process's account; null when nobody counts.</param>
public readonly record struct IommufdCaller(CallerCapabilities Capabilities, ProcessMemoryAccount? Account = null)
{
    /// <summary>A caller who may do everything and whom nobody counts.</summary>
    public static IommufdCaller Unlimited => new(CallerCapabilities.All);
}

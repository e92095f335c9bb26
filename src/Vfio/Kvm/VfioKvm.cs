namespace Vfio;

/// <summary>What a hypervisor asks of files that its user gave it, without knowing what they are.</summary>
/// <remarks>The kernel's external user interface (<c>vfio_file_is_valid</c> and its neighbours); spec vfio-core §12.1.</remarks>
public static class VfioKvm
{
    /// <summary>Whether a file is one of VFIO's that a hypervisor may hold: of a group or a device.</summary>
    /// <param name="file">Any file.</param>
    /// <returns>True for group and device files; false for containers, iommufds and everything else.</returns>
    /// <remarks><c>vfio_file_is_valid</c>.</remarks>
    public static bool IsVfioFile(VfioFile file) => file is VfioGroupFile or VfioDeviceFile;

    /// <summary>Whether a file is a group's.</summary>
    /// <param name="file">Any file.</param>
    /// <returns>True for group files.</returns>
    /// <remarks><c>vfio_file_is_group</c>.</remarks>
    public static bool IsGroup(VfioFile file) => file is VfioGroupFile;

    /// <summary>Whether holding a file means holding a device's group.</summary>
    /// <param name="file">Any file.</param>
    /// <param name="device">The device.</param>
    /// <returns>True only for a file of the device's group.</returns>
    /// <remarks><c>vfio_file_has_dev</c>.</remarks>
    public static bool HasDevice(VfioFile file, VfioDevice device) => file is VfioGroupFile group && ReferenceEquals(device.Group, group.Group);

    /// <summary>Whether all DMA behind a file is made coherent, so that the machine's cache control instructions need not be obeyed.</summary>
    /// <param name="file">Any file.</param>
    /// <returns>For a group, whether that holds for all its devices; for a device file, for the device; true for any other file.</returns>
    /// <remarks><c>vfio_file_enforced_coherent</c>. Devices without an IOMMU of their own cannot enforce it.</remarks>
    public static bool EnforcesCoherency(VfioFile file) => file switch
    {
        VfioGroupFile group => group.Group.Devices.All(CanEnforce),
        VfioDeviceFile device => CanEnforce(device.Device),
        _ => true,
    };

    /// <summary>Tells of the virtual machine that the file's user runs.</summary>
    /// <param name="file">Any file; only those of groups and devices remember.</param>
    /// <param name="kvm">The machine, or null for none any more.</param>
    /// <remarks>
    /// <c>vfio_file_set_kvm</c>. A device takes a reference at its first open, into <see cref="VfioDevice.Kvm"/>, and gives it back after its last
    /// close; what is told while a device is open counts from the next open.
    /// </remarks>
    public static void SetKvm(VfioFile file, IKvm? kvm)
    {
        switch (file)
        {
            case VfioGroupFile group:
                group.Group.SetKvm(kvm);
                break;
            case VfioDeviceFile device:
                device.Kvm = kvm;
                break;
        }
    }

    private static bool CanEnforce(VfioDevice device) => device.Group is { Type: VfioGroupType.Iommu } group && group.IommuGroup.Hardware.EnforcesCoherency;
}

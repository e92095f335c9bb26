using System.Diagnostics.CodeAnalysis;
using Vfio.Abi;

namespace Vfio.Run;

/// <summary>The commands of each kind of file: name and argument. The kinds share numbers, so that a number alone says nothing.</summary>
internal static class CommandCatalog
{
    private static readonly FieldSymbols s_regionIndex = FieldSymbols.Values(typeof(VfioUapi), "index", "VFIO_PCI_", "_REGION_INDEX");
    private static readonly FieldSymbols s_irqIndex = FieldSymbols.Values(typeof(VfioUapi), "index", "VFIO_PCI_", "_IRQ_INDEX");
    private static readonly Dictionary<uint, CommandDescription> s_container = Table(
        Plain(VfioUapi.VFIO_GET_API_VERSION, "VFIO_GET_API_VERSION"),
        Value(VfioUapi.VFIO_CHECK_EXTENSION, "VFIO_CHECK_EXTENSION"),
        Value(VfioUapi.VFIO_SET_IOMMU, "VFIO_SET_IOMMU"),
        Structure<vfio_iommu_type1_info>(VfioUapi.VFIO_IOMMU_GET_INFO, "VFIO_IOMMU_GET_INFO", Flags("VFIO_IOMMU_INFO_")),
        Structure<vfio_iommu_type1_dma_map>(VfioUapi.VFIO_IOMMU_MAP_DMA, "VFIO_IOMMU_MAP_DMA", Flags("VFIO_DMA_MAP_FLAG_")),
        Structure<vfio_iommu_type1_dma_unmap>(VfioUapi.VFIO_IOMMU_UNMAP_DMA, "VFIO_IOMMU_UNMAP_DMA", Flags("VFIO_DMA_UNMAP_FLAG_")),
        Plain(VfioUapi.VFIO_IOMMU_ENABLE, "VFIO_IOMMU_ENABLE"),
        Plain(VfioUapi.VFIO_IOMMU_DISABLE, "VFIO_IOMMU_DISABLE"),
        Structure<vfio_iommu_type1_dirty_bitmap>(VfioUapi.VFIO_IOMMU_DIRTY_PAGES, "VFIO_IOMMU_DIRTY_PAGES", Flags("VFIO_IOMMU_DIRTY_PAGES_FLAG_")),
        Structure<vfio_eeh_pe_op>(VfioUapi.VFIO_EEH_PE_OP, "VFIO_EEH_PE_OP"));

    // What differs for containers whose IOMMU is sPAPR's.
    private static readonly Dictionary<uint, CommandDescription> s_spapr = Table(
        Structure<vfio_iommu_spapr_tce_info>(VfioUapi.VFIO_IOMMU_SPAPR_TCE_GET_INFO, "VFIO_IOMMU_SPAPR_TCE_GET_INFO", Flags("VFIO_IOMMU_SPAPR_INFO_")),
        Structure<vfio_iommu_spapr_register_memory>(VfioUapi.VFIO_IOMMU_SPAPR_REGISTER_MEMORY, "VFIO_IOMMU_SPAPR_REGISTER_MEMORY"),
        Structure<vfio_iommu_spapr_register_memory>(VfioUapi.VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, "VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY"),
        Structure<vfio_iommu_spapr_tce_create>(VfioUapi.VFIO_IOMMU_SPAPR_TCE_CREATE, "VFIO_IOMMU_SPAPR_TCE_CREATE"),
        Structure<vfio_iommu_spapr_tce_remove>(VfioUapi.VFIO_IOMMU_SPAPR_TCE_REMOVE, "VFIO_IOMMU_SPAPR_TCE_REMOVE"));

    private static readonly Dictionary<uint, CommandDescription> s_group = Table(
        Structure<vfio_group_status>(VfioUapi.VFIO_GROUP_GET_STATUS, "VFIO_GROUP_GET_STATUS", Flags("VFIO_GROUP_FLAGS_")),
        new CommandDescription(VfioUapi.VFIO_GROUP_SET_CONTAINER, "VFIO_GROUP_SET_CONTAINER", ArgumentKind.Descriptor),
        Plain(VfioUapi.VFIO_GROUP_UNSET_CONTAINER, "VFIO_GROUP_UNSET_CONTAINER"),
        new CommandDescription(VfioUapi.VFIO_GROUP_GET_DEVICE_FD, "VFIO_GROUP_GET_DEVICE_FD", ArgumentKind.Text));

    private static readonly Dictionary<uint, CommandDescription> s_device = Table(
        Structure<vfio_device_info>(VfioUapi.VFIO_DEVICE_GET_INFO, "VFIO_DEVICE_GET_INFO", Flags("VFIO_DEVICE_FLAGS_")),
        Structure<vfio_region_info>(VfioUapi.VFIO_DEVICE_GET_REGION_INFO, "VFIO_DEVICE_GET_REGION_INFO", Flags("VFIO_REGION_INFO_FLAG_"), s_regionIndex),
        Structure<vfio_irq_info>(VfioUapi.VFIO_DEVICE_GET_IRQ_INFO, "VFIO_DEVICE_GET_IRQ_INFO", Flags("VFIO_IRQ_INFO_"), s_irqIndex),
        new CommandDescription(VfioUapi.VFIO_DEVICE_SET_IRQS, "VFIO_DEVICE_SET_IRQS", ArgumentKind.InterruptSet)
        {
            Structure = StructureText.Of<vfio_irq_set>(Flags("VFIO_IRQ_SET_"), s_irqIndex),
        },
        Plain(VfioUapi.VFIO_DEVICE_RESET, "VFIO_DEVICE_RESET"),
        Structure<vfio_pci_hot_reset_info>(VfioUapi.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", Flags("VFIO_PCI_HOT_RESET_FLAG_")),
        Structure<vfio_pci_hot_reset>(VfioUapi.VFIO_DEVICE_PCI_HOT_RESET, "VFIO_DEVICE_PCI_HOT_RESET"),
        Structure<vfio_device_gfx_plane_info>(VfioUapi.VFIO_DEVICE_QUERY_GFX_PLANE, "VFIO_DEVICE_QUERY_GFX_PLANE", Flags("VFIO_GFX_PLANE_TYPE_")),
        Plain(VfioUapi.VFIO_DEVICE_GET_GFX_DMABUF, "VFIO_DEVICE_GET_GFX_DMABUF"),
        Structure<vfio_device_ioeventfd>(VfioUapi.VFIO_DEVICE_IOEVENTFD, "VFIO_DEVICE_IOEVENTFD", Flags("VFIO_DEVICE_IOEVENTFD_")),
        new CommandDescription(VfioUapi.VFIO_DEVICE_FEATURE, "VFIO_DEVICE_FEATURE", ArgumentKind.Feature),
        Structure<vfio_device_bind_iommufd>(VfioUapi.VFIO_DEVICE_BIND_IOMMUFD, "VFIO_DEVICE_BIND_IOMMUFD", Flags("VFIO_DEVICE_BIND_FLAG_")),
        Structure<vfio_device_attach_iommufd_pt>(VfioUapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT, "VFIO_DEVICE_ATTACH_IOMMUFD_PT", Flags("VFIO_DEVICE_ATTACH_")),
        Structure<vfio_device_detach_iommufd_pt>(VfioUapi.VFIO_DEVICE_DETACH_IOMMUFD_PT, "VFIO_DEVICE_DETACH_IOMMUFD_PT", Flags("VFIO_DEVICE_DETACH_")));

    private static readonly Dictionary<uint, CommandDescription> s_migration = Table(
        Structure<vfio_precopy_info>(VfioUapi.VFIO_MIG_GET_PRECOPY_INFO, "VFIO_MIG_GET_PRECOPY_INFO", Flags("VFIO_PRECOPY_INFO_")));

    private static readonly Dictionary<uint, CommandDescription> s_iommufd = Table(
        Structure<iommu_destroy>(IommufdUapi.IOMMU_DESTROY, "IOMMU_DESTROY"),
        Structure<iommu_ioas_alloc>(IommufdUapi.IOMMU_IOAS_ALLOC, "IOMMU_IOAS_ALLOC"),
        Structure<iommu_ioas_iova_ranges>(IommufdUapi.IOMMU_IOAS_IOVA_RANGES, "IOMMU_IOAS_IOVA_RANGES"),
        Structure<iommu_ioas_allow_iovas>(IommufdUapi.IOMMU_IOAS_ALLOW_IOVAS, "IOMMU_IOAS_ALLOW_IOVAS"),
        Structure<iommu_ioas_map>(IommufdUapi.IOMMU_IOAS_MAP, "IOMMU_IOAS_MAP", IommufdFlags("IOMMU_IOAS_MAP_")),
        Structure<iommu_ioas_map_file>(IommufdUapi.IOMMU_IOAS_MAP_FILE, "IOMMU_IOAS_MAP_FILE", IommufdFlags("IOMMU_IOAS_MAP_")),
        Structure<iommu_ioas_copy>(IommufdUapi.IOMMU_IOAS_COPY, "IOMMU_IOAS_COPY", IommufdFlags("IOMMU_IOAS_MAP_")),
        Structure<iommu_ioas_unmap>(IommufdUapi.IOMMU_IOAS_UNMAP, "IOMMU_IOAS_UNMAP"),
        Structure<iommu_ioas_noiommu_get_pa>(IommufdUapi.IOMMU_IOAS_NOIOMMU_GET_PA, "IOMMU_IOAS_NOIOMMU_GET_PA"),
        Structure<iommu_ioas_change_process>(IommufdUapi.IOMMU_IOAS_CHANGE_PROCESS, "IOMMU_IOAS_CHANGE_PROCESS"),
        Structure<iommu_option>(IommufdUapi.IOMMU_OPTION, "IOMMU_OPTION"),
        Structure<iommu_vfio_ioas>(IommufdUapi.IOMMU_VFIO_IOAS, "IOMMU_VFIO_IOAS"),
        Structure<iommu_hwpt_alloc>(IommufdUapi.IOMMU_HWPT_ALLOC, "IOMMU_HWPT_ALLOC", IommufdFlags("IOMMU_HWPT_ALLOC_")),
        Structure<iommu_hw_info>(IommufdUapi.IOMMU_GET_HW_INFO, "IOMMU_GET_HW_INFO"),
        Structure<iommu_hwpt_set_dirty_tracking>(IommufdUapi.IOMMU_HWPT_SET_DIRTY_TRACKING, "IOMMU_HWPT_SET_DIRTY_TRACKING", IommufdFlags("IOMMU_HWPT_DIRTY_TRACKING_")),
        Structure<iommu_hwpt_get_dirty_bitmap>(IommufdUapi.IOMMU_HWPT_GET_DIRTY_BITMAP, "IOMMU_HWPT_GET_DIRTY_BITMAP", IommufdFlags("IOMMU_HWPT_GET_DIRTY_BITMAP_")),
        Structure<iommu_hwpt_invalidate>(IommufdUapi.IOMMU_HWPT_INVALIDATE, "IOMMU_HWPT_INVALIDATE"),
        Structure<iommu_fault_alloc>(IommufdUapi.IOMMU_FAULT_QUEUE_ALLOC, "IOMMU_FAULT_QUEUE_ALLOC"),
        Structure<iommu_viommu_alloc>(IommufdUapi.IOMMU_VIOMMU_ALLOC, "IOMMU_VIOMMU_ALLOC"),
        Structure<iommu_vdevice_alloc>(IommufdUapi.IOMMU_VDEVICE_ALLOC, "IOMMU_VDEVICE_ALLOC"),
        Structure<iommu_veventq_alloc>(IommufdUapi.IOMMU_VEVENTQ_ALLOC, "IOMMU_VEVENTQ_ALLOC"),
        Structure<iommu_hw_queue_alloc>(IommufdUapi.IOMMU_HW_QUEUE_ALLOC, "IOMMU_HW_QUEUE_ALLOC"));

    /// <summary>Describes a command.</summary>
    /// <param name="kind">The kind of file that it is for.</param>
    /// <param name="number">Its number.</param>
    /// <returns>The description; null for a number that the kind does not know.</returns>
    public static CommandDescription? Find(FileKind kind, uint number) => kind switch
    {
        FileKind.Container => s_container.GetValueOrDefault(number),
        FileKind.SpaprContainer => s_spapr.GetValueOrDefault(number) ?? s_container.GetValueOrDefault(number),
        FileKind.Group => s_group.GetValueOrDefault(number),
        FileKind.Device => s_device.GetValueOrDefault(number),
        FileKind.Migration => s_migration.GetValueOrDefault(number),

        // An iommufd may stand in for a container.
        FileKind.Iommufd => s_iommufd.GetValueOrDefault(number) ?? s_container.GetValueOrDefault(number),
        _ => null,
    };

    /// <summary>The kinds that know a command, for the caller who sent it to a file of another kind.</summary>
    public static IEnumerable<FileKind> KindsOf(uint number)
        => Enum.GetValues<FileKind>().Where(kind => kind != FileKind.SpaprContainer && Find(kind, number) is not null);

    private static Dictionary<uint, CommandDescription> Table(params CommandDescription[] commands) => commands.ToDictionary(static command => command.Number);

    private static FieldSymbols Flags(string prefix) => FieldSymbols.Flags(typeof(VfioUapi), "flags", prefix);

    private static FieldSymbols IommufdFlags(string prefix) => FieldSymbols.Flags(typeof(IommufdUapi), "flags", prefix);

    private static CommandDescription Plain(uint number, string name) => new(number, name, ArgumentKind.None);

    private static CommandDescription Value(uint number, string name) => new(number, name, ArgumentKind.Extension);

    private static CommandDescription Structure<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicFields | DynamicallyAccessedMemberTypes.NonPublicFields)] T>(uint number, string name, params FieldSymbols[] symbols)
        where T : unmanaged
        => new(number, name, ArgumentKind.Structure) { Structure = StructureText.Of<T>(symbols) };
}

/// <summary>A command.</summary>
/// <param name="Number">Its number.</param>
/// <param name="Name">Its name in C.</param>
/// <param name="Argument">What its argument is.</param>
internal sealed record CommandDescription(uint Number, string Name, ArgumentKind Argument)
{
    /// <summary>The structure that the argument leads to; null when it leads to none.</summary>
    public StructureText? Structure { get; init; }
}

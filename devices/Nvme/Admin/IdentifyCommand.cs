namespace Vfio.Devices.Nvme;

/// <summary>Identify (NVMe Base 2.0 §5.17): which structure is asked for; <see cref="IdentifyData"/> writes them.</summary>
internal static class IdentifyCommand
{
    private const uint Broadcast = 0xFFFF_FFFE;

    public static NvmeStatus Execute(NvmeRequest request)
    {
        ref readonly NvmeCommand command = ref request.Command;
        NvmeController controller = request.Controller;
        byte structure = (byte)command.Dword10;
        byte commandSet = (byte)(command.Dword11 >> 24);
        uint id = command.NamespaceId;
        Span<byte> page = request.Page;
        page.Clear();

        // Structures of a command set: the NVM command set is number 0.
        if (structure is 0x05 or 0x06 or 0x07 && commandSet != 0)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 47);
        }

        switch (structure)
        {
            case 0x00: // Namespace.
                // All namespaces have their own capabilities, so that there are none in common.
                if (controller.FindNamespace(id) is not { } ns)
                {
                    return request.Refuse(NvmeStatus.InvalidNamespace, location: 4);
                }

                IdentifyData.WriteNamespace(page, ns);
                break;
            case 0x01: // Controller.
                IdentifyData.WriteController(page, controller);
                break;
            case 0x02: // Active namespaces, of all or of one command set.
            case 0x07:
                if (id >= Broadcast)
                {
                    return request.Refuse(NvmeStatus.InvalidNamespace, location: 4);
                }

                IdentifyData.WriteNamespaceList(page, controller, after: id);
                break;
            case 0x03: // Identification descriptors.
                if (controller.FindNamespace(id) is not { } described)
                {
                    return request.Refuse(NvmeStatus.InvalidNamespace, location: 4);
                }

                IdentifyData.WriteDescriptors(page, described);
                break;
            case 0x05: // What the NVM command set adds about a namespace: nothing without protection information.
                if (controller.FindNamespace(id) is null)
                {
                    return request.Refuse(NvmeStatus.InvalidNamespace, location: 4);
                }

                break;
            case 0x06: // Limits of the NVM command set.
                IdentifyData.WriteCommandSetLimits(page);
                break;
            case 0x08: // What all command sets have in common about a namespace.
                if (controller.FindNamespace(id) is not { } common)
                {
                    return request.Refuse(NvmeStatus.InvalidNamespace, location: 4);
                }

                IdentifyData.WriteCommonNamespace(page, common);
                break;
            default:
                return request.Refuse(NvmeStatus.InvalidField, location: 40);
        }

        return request.WriteToHost(page);
    }
}

namespace Vfio.Devices.Nvme;

/// <summary>Identify (NVMe Base 2.0 §5.17): which structure is asked for; <see cref="IdentifyData"/> writes them.</summary>
internal static class IdentifyCommand
{
    private const uint Broadcast = 0xFFFF_FFFE;
    private const uint AllNamespaces = uint.MaxValue;

    public static NvmeStatus Execute(NvmeRequest request)
    {
        ref readonly NvmeCommand command = ref request.Command;
        NvmeController controller = request.Controller;
        byte structure = (byte)command.Dword10;
        byte commandSet = (byte)(command.Dword11 >> 24);
        uint id = command.NamespaceId;
        Span<byte> page = request.Page;
        page.Clear();

        // Lists of allocated namespaces and of controllers are for those who manage namespaces.
        if (structure is >= 0x10 and <= 0x1A && !controller.ManagesNamespaces)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 40);
        }

        // Structures of a command set.
        bool isOfCommandSet = structure is 0x05 or 0x06 or 0x07 or 0x1A;
        if (isOfCommandSet && !controller.HasCommandSet(commandSet))
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 47);
        }

        switch (structure)
        {
            case 0x00: // Namespace.
                if (id == AllNamespaces)
                {
                    // What namespaces have in common, to make further ones by.
                    if (!controller.ManagesNamespaces)
                    {
                        return request.Refuse(NvmeStatus.InvalidNamespace, location: 4);
                    }

                    IdentifyData.WriteCommonCapabilities(page);
                    break;
                }

                if (!NvmeController.IsValidNamespace(id))
                {
                    return request.Refuse(NvmeStatus.InvalidNamespace, location: 4);
                }

                // Zeros for one that is not attached.
                if (controller.FindNamespace(id) is { } ns)
                {
                    IdentifyData.WriteNamespace(page, ns);
                }

                break;
            case 0x01: // Controller.
                IdentifyData.WriteController(page, controller);
                break;
            case 0x02: // Attached namespaces, of all or of one command set.
            case 0x07:
            case 0x10: // Allocated namespaces, of all or of one command set.
            case 0x1A:
                if (id >= Broadcast)
                {
                    return request.Refuse(NvmeStatus.InvalidNamespace, location: 4);
                }

                IdentifyData.WriteNamespaceList(page, controller, after: id, isAttached: structure is 0x02 or 0x07, isOfCommandSet ? commandSet : null);
                break;
            case 0x03: // Identification descriptors.
                if (controller.FindNamespace(id) is not { } described)
                {
                    return request.RefuseNamespace();
                }

                IdentifyData.WriteDescriptors(page, described);
                break;
            case 0x05: // What a command set adds about a namespace: the NVM command set nothing, with guards of 16 bits.
                if (!NvmeController.IsValidNamespace(id))
                {
                    return request.Refuse(NvmeStatus.InvalidNamespace, location: 4);
                }

                if (commandSet == IoCommandSet.Zoned && controller.FindNamespace(id) is { } zoned)
                {
                    if (zoned.Zones is null)
                    {
                        return request.Refuse(NvmeStatus.InvalidField, location: 47);
                    }

                    IdentifyData.WriteZonedNamespace(page, zoned.Zones);
                }

                break;
            case 0x06: // Limits of a command set.
                IdentifyData.WriteCommandSetLimits(page, commandSet);
                break;
            case 0x08: // What all command sets have in common about a namespace.
                if (!NvmeController.IsValidNamespace(id))
                {
                    return request.Refuse(NvmeStatus.InvalidNamespace, location: 4);
                }

                if (controller.FindNamespace(id) is { } common)
                {
                    IdentifyData.WriteCommonNamespace(page, common);
                }

                break;
            case 0x1C when controller.HasZones: // Combinations of command sets, here and of every other controller, of which there is none.
                if (command.Dword10 >> 16 is not (NamespaceAttachmentCommand.ControllerId or 0xFFFF))
                {
                    return request.Refuse(NvmeStatus.InvalidField, location: 42);
                }

                IdentifyData.WriteCommandSetCombinations(page);
                break;
            case 0x11: // Namespace, attached or not.
                if (!NvmeController.IsValidNamespace(id))
                {
                    return request.Refuse(NvmeStatus.InvalidNamespace, location: 4);
                }

                if (controller.FindAllocated(id) is { } allocated)
                {
                    IdentifyData.WriteNamespace(page, allocated);
                }

                break;
            case 0x12: // Controllers that a namespace is attached to.
            case 0x13: // Controllers.
                if (structure == 0x12 && !NvmeController.IsValidNamespace(id))
                {
                    return request.Refuse(NvmeStatus.InvalidNamespace, location: 4);
                }

                if (command.Dword10 >> 16 <= NamespaceAttachmentCommand.ControllerId && (structure == 0x13 || controller.FindNamespace(id) is not null))
                {
                    IdentifyData.WriteControllerList(page);
                }

                break;
            default:
                return request.Refuse(NvmeStatus.InvalidField, location: 40);
        }

        return request.WriteToHost(page);
    }
}

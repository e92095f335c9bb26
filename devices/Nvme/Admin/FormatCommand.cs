namespace Vfio.Devices.Nvme;

/// <summary>Format NVM (NVMe Base 2.0 §5.14, NVM Command Set 1.0 §4.1.2): checks what is asked for; <see cref="FormatOperation"/> does it.</summary>
internal static class FormatCommand
{
    private const uint AllNamespaces = uint.MaxValue;

    public static NvmeStatus Execute(NvmeRequest request)
    {
        ref readonly NvmeCommand command = ref request.Command;
        NvmeController controller = request.Controller;
        uint fields = command.Dword10;

        // SES: none, or erase of the blocks, which every format does. There is no encryption.
        if (((fields >> 9) & 7) > 1)
        {
            return request.Refuse(NvmeStatus.InvalidField, location: 41, bit: 1);
        }

        var targets = new List<NvmeNamespace>();
        if (command.NamespaceId != AllNamespaces)
        {
            if (controller.FindNamespace(command.NamespaceId) is not { } ns)
            {
                return request.RefuseNamespace();
            }

            targets.Add(ns);
        }
        else
        {
            for (uint id = 1; id <= NvmeController.MaxNamespaces; id++)
            {
                if (controller.FindNamespace(id) is { } ns)
                {
                    targets.Add(ns);
                }
            }
        }

        // All are looked at before anything is done.
        var formats = new BlockFormat[targets.Count];
        for (int i = 0; i < formats.Length; i++)
        {
            NvmeNamespace ns = targets[i];
            if (ns.Format is null)
            {
                return NvmeStatus.FormatInProgress;
            }

            if (ns.IsReadOnly)
            {
                return NvmeStatus.NamespaceWriteProtected;
            }

            // LBAFU is for more formats than there are.
            BlockFormat? format = BlockFormat.TryCreate(
                (int)((fields & 15) | ((fields >> 12) & 3) << 4), (fields & 0x10) != 0, (int)(fields >> 5) & 7, (fields & 0x100) != 0, ns.Backend.Length, ns.Metadata is not null);
            if (format is null)
            {
                return request.Refuse(NvmeStatus.InvalidFormat, location: 40);
            }

            formats[i] = format;
        }

        return controller.Formats.Begin(request, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(targets), formats);
    }
}

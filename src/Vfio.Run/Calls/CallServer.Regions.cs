using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <content>Regions as programs can map them.</content>
internal sealed partial class CallServer
{
    private const uint BarCount = 6;
    private const ulong PageSize = 4096;

    /// <summary>
    /// As the core answers, but for what can be mapped: with a tracer all of a region can, as what is no memory is trapped; without one nothing can.
    /// </summary>
    private IoResult RegionInfo(SupervisedProcess process, OpenFile file, VfioDeviceFile device, UserArgument argument, ulong call)
    {
        Errno error = argument.ReadExtensible(RegionInfoText.Minimum, out vfio_region_info asked, out uint argsz);
        if (error != Errno.None)
        {
            return error;
        }

        RegionInfoText text = new();
        IoResult result = text.Ask(device, asked.index);
        if (result.IsError)
        {
            return result;
        }

        bool isMappable = _supervision.TrapsRegisters && asked.index < BarCount && text.Size >= PageSize && text.IsAccessible;
        if (isMappable)
        {
            OfferMemory(process, file, device, text, call);
        }

        text.SetMappable(isMappable);
        return text.Reply(argument, argsz);
    }

    /// <summary>Gives the program the memory that parts of a region are, for the tracer to map when the program maps the region.</summary>
    private void OfferMemory(SupervisedProcess process, OpenFile file, VfioDeviceFile device, RegionInfoText text, ulong call)
    {
        foreach ((ulong offset, ulong length) in text.MemoryAreas())
        {
            MemoryProtection protection = text.IsWritable ? MemoryProtection.ReadWrite : MemoryProtection.Read;
            file.Memory ??= new DeviceMemory();
            if (file.Memory.TryAdd(device, text.Offset + offset, length, protection) is not { } part)
            {
                continue;
            }

            IoResult given = GiveMemory(process, part.Memory.Descriptor, call);
            part.Number = given.IsError ? -1 : (int)given.Value;
        }
    }

    /// <summary>Gives the program the memory that virtual IOMMUs of an iommufd show, for the tracer to map when the program maps the iommufd.</summary>
    private void OfferMemory(SupervisedProcess process, ContextMemory context, ulong call)
        => context.Offer(memory => GiveMemory(process, memory, call));

    /// <summary>Gives the program a descriptor that only the tracer uses.</summary>
    private IoResult GiveMemory(SupervisedProcess process, FileDescriptor memory, ulong call)
    {
        int number = process.FindFreeNumberFromAbove(_range);
        return number < 0 ? Errno.EMFILE : _listener.TryGive(call, memory, number, closeOnExec: true);
    }
}

using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.User.Tests.Devices;

/// <summary>A device straight on the bus driver API, with one region of 4 KiB whose handler the test gives.</summary>
public sealed class PlainDevice : VfioDevice
{
    public delegate IoResult ReadHandler(Span<byte> buffer, ulong offset);

    public delegate IoResult WriteHandler(ReadOnlySpan<byte> buffer, ulong offset);

    public ReadHandler OnRead { get; set; } = static (buffer, _) => IoResult.Success(buffer.Length);

    public WriteHandler OnWrite { get; set; } = static (buffer, _) => IoResult.Success(buffer.Length);

    public RegionDoorbell[] Bells { get; set; } = [];

    protected override IoResult Read(Span<byte> buffer, ulong position) => OnRead(buffer, PciLayout.Offset(position));

    protected override IoResult Write(ReadOnlySpan<byte> buffer, ulong position) => OnWrite(buffer, PciLayout.Offset(position));

    protected override IReadOnlyList<RegionDoorbell> GetDoorbells(uint region) => region == 0 ? Bells : [];

    protected override Errno GetRegionInfo(ref RegionInfo info, CapabilityChain capabilities)
    {
        info.Position = PciLayout.Position(info.Index);
        info.Size = info.Index == 0 ? 4096u : 0;
        info.Flags = info.Index == 0 ? RegionFlags.Read | RegionFlags.Write : RegionFlags.None;
        return Errno.None;
    }

    protected override IoResult Ioctl(uint command, UserArgument argument)
    {
        if (command != VfioUapi.VFIO_DEVICE_GET_INFO)
        {
            return Errno.ENOTTY;
        }

        vfio_device_info info = new() { argsz = 16, flags = 2, num_regions = 9, num_irqs = 5 };
        return argument.Write(0, MemoryMarshal.AsBytes(new ReadOnlySpan<vfio_device_info>(in info))[..16]);
    }
}

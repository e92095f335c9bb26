using System.Buffers.Binary;
using System.CommandLine;
using Vfio.Tool.Devices;

namespace Vfio.Tool.Commands;

/// <summary><c>vfio write</c>: writes a register.</summary>
internal static class WriteCommand
{
    public static Command Create()
    {
        Argument<string> address = CommonOptions.Address();
        Argument<string> region = CommonOptions.Region();
        Argument<string> offset = new("offset") { Description = "Offset in the region, in bytes" };
        Argument<string> value = new("value") { Description = "The value, little endian on the device" };
        Option<int> width = CommonOptions.Width();
        Command command = new("write", "Write a register by one access.") { address, region, offset, value, width };
        command.SetAction(async (result, cancellationToken) =>
        {
            uint index = CommonOptions.ParseRegion(result.GetRequiredValue(region));
            ulong at = CommonOptions.ParseNumber(result.GetRequiredValue(offset), "offset");
            ulong number = CommonOptions.ParseNumber(result.GetRequiredValue(value), "value");
            int bytes = result.GetValue(width);
            if (bytes < sizeof(ulong) && number >> (bytes * 8) != 0)
            {
                throw new UsageException($"0x{number:x} does not fit in {bytes} byte{(bytes == 1 ? string.Empty : "s")}; choose a larger --width.");
            }

            await using OpenedDevice device = await OpenedDevice.OpenAsync(result.GetRequiredValue(address), cancellationToken);
            byte[] buffer = new byte[sizeof(ulong)];
            BinaryPrimitives.WriteUInt64LittleEndian(buffer, number);
            device.Connection.Region((PciRegion)index).Write(at, buffer.AsSpan(0, bytes));
            return CommandLine.Success;
        });
        return command;
    }
}

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
        Option<bool> readBack = new("--read-back") { Description = "Read the register afterwards and print it: when the last user leaves, the device is reset" };
        Command command = new("write", "Write a register by one access.") { address, region, offset, value, width, readBack };
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
            VfioRegion target = device.Connection.Region((PciRegion)index);
            target.Write(at, buffer.AsSpan(0, bytes));
            if (result.GetValue(readBack))
            {
                target.Read(at, buffer.AsSpan(0, bytes));
                ulong now = BinaryPrimitives.ReadUInt64LittleEndian(buffer) & (ulong.MaxValue >> (64 - (bytes * 8)));
                await Console.Out.WriteLineAsync($"0x{now.ToString($"x{bytes * 2}")}");
            }

            return CommandLine.Success;
        });
        return command;
    }
}

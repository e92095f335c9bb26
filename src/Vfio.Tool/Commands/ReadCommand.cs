using System.Buffers.Binary;
using System.CommandLine;
using System.Text.Json.Nodes;
using Vfio.Tool.Devices;
using Vfio.Tool.Output;

namespace Vfio.Tool.Commands;

/// <summary><c>vfio read</c>: reads a register.</summary>
internal static class ReadCommand
{
    public static Command Create()
    {
        Argument<string> address = CommonOptions.Address();
        Argument<string> region = CommonOptions.Region();
        Argument<string> offset = new("offset") { Description = "Offset in the region, in bytes" };
        Option<int> width = CommonOptions.Width();
        Option<bool> json = CommonOptions.Json();
        Command command = new("read", "Read a register by one access.") { address, region, offset, width, json };
        command.SetAction(async (result, cancellationToken) =>
        {
            uint index = CommonOptions.ParseRegion(result.GetRequiredValue(region));
            ulong at = CommonOptions.ParseNumber(result.GetRequiredValue(offset), "offset");
            int bytes = result.GetValue(width);
            await using OpenedDevice device = await OpenedDevice.OpenAsync(result.GetRequiredValue(address), cancellationToken);
            byte[] buffer = new byte[sizeof(ulong)];
            device.Connection.Region((PciRegion)index).Read(at, buffer.AsSpan(0, bytes));
            ulong value = BinaryPrimitives.ReadUInt64LittleEndian(buffer);
            string text = $"0x{value.ToString($"x{bytes * 2}")}";
            if (result.GetValue(json))
            {
                // The value is a text: JSON's numbers are exact to 53 bits only.
                Json.Print(new JsonObject
                {
                    ["address"] = device.Connection.Address,
                    ["region"] = index,
                    ["offset"] = at,
                    ["width"] = bytes,
                    ["value"] = text,
                });
            }
            else
            {
                await Console.Out.WriteLineAsync(text);
            }

            return CommandLine.Success;
        });
        return command;
    }
}

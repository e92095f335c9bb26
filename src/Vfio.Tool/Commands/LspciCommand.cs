using System.CommandLine;
using Vfio.Tool.Devices;
using Vfio.Tool.Lspci;

namespace Vfio.Tool.Commands;

/// <summary><c>vfio lspci</c>: the configuration space, decoded as <c>lspci -vv</c> does, or as a dump that <c>lspci -F</c> reads.</summary>
internal static class LspciCommand
{
    private const int HeaderLength = 64;
    private const int ConventionalLength = 256;

    public static Command Create()
    {
        Argument<string> address = CommonOptions.Address();
        Option<bool> header = new("-x") { Description = "Dump the first 64 bytes instead of decoding" };
        Option<bool> conventional = new("-xxx") { Description = "Dump 256 bytes" };
        Option<bool> all = new("-xxxx") { Description = "Dump everything, 4096 bytes of a PCI Express device; 'lspci -F FILE' reads it" };
        Option<bool> numeric = new("-n") { Description = "Numbers instead of the names in pci.ids" };
        Command command = new("lspci", "Decode a device's configuration space as lspci -vv does, or dump it as lspci -x does.")
        {
            address, header, conventional, all, numeric,
        };
        command.SetAction(async (result, cancellationToken) =>
        {
            int length = result.GetValue(all) ? int.MaxValue : result.GetValue(conventional) ? ConventionalLength : result.GetValue(header) ? HeaderLength : 0;
            await using OpenedDevice device = await OpenedDevice.OpenAsync(result.GetRequiredValue(address), cancellationToken);
            ConfigImage config = ConfigImage.Read(device.Connection);
            PciNames names = PciNames.Load();
            await Console.Out.WriteLineAsync(length == 0
                ? LspciText.Decode(config, names, result.GetValue(numeric))
                : LspciText.Summarize(config, names, result.GetValue(numeric)) + HexDump.Format(config.Bytes[..Math.Min(length, config.Bytes.Length)]));
            return CommandLine.Success;
        });
        return command;
    }
}

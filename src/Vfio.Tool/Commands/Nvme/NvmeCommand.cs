using System.CommandLine;

namespace Vfio.Tool.Commands.Nvme;

/// <summary><c>vfio nvme ADDRESS …</c>: drives an NVM Express controller by the driver in <c>drivers/Nvme</c>.</summary>
internal static class NvmeCommand
{
    public static Command Create()
    {
        Argument<string> address = CommonOptions.Address();
        return new Command("nvme", "Drive an NVM Express controller: what it is, how it is, its data and its speed.")
        {
            address,
            NvmeIdentifyCommand.Create(address),
            NvmeSmartCommand.Create(address),
            NvmeReadCommand.Create(address),
            NvmeWriteCommand.Create(address),
            NvmeVerifyCommand.Create(address),
            NvmeBenchCommand.Create(address),
        };
    }
}

using System.CommandLine;
using Vfio.Drivers.Nvme;

namespace Vfio.Tool.Commands.Nvme;

/// <summary><c>vfio nvme ADDRESS write</c>: data of a file or of standard input to a namespace.</summary>
internal static class NvmeWriteCommand
{
    public static Command Create(Argument<string> address)
    {
        Option<int> id = NvmeSession.Namespace();
        Option<ulong?> offset = NvmeSession.Offset();
        Option<FileInfo?> input = new("--input") { Description = "The file; standard input when not given" };
        Option<bool> yes = new("--yes") { Description = "Overwrite what is stored there" };
        Command command = new("write", "Write blocks from standard input or a file. A last block that is not whole keeps the rest of what it had.") { id, offset, input, yes };
        command.SetAction(async (result, cancellationToken) =>
        {
            if (!result.GetValue(yes))
            {
                throw new UsageException("What is stored there would be lost: say --yes if it may.");
            }

            await using Stream source = result.GetValue(input) is { } file ? file.OpenRead() : Console.OpenStandardInput();
            await using NvmeSession session = await NvmeSession.OpenAsync(result.GetRequiredValue(address), new NvmeOptions { AllowWrites = true }, cancellationToken);
            NvmeNamespace disk = session.Select(result.GetValue(id));
            ulong block = NvmeSession.ToBlocks(disk, result.GetValue(offset) ?? 0, "--offset");
            ulong written = await CopyAsync(session.Controller, disk, block, source, cancellationToken);
            await disk.FlushAsync();
            await Console.Out.WriteLineAsync($"{written} bytes written to namespace {disk.Id} from block {block}");
            return CommandLine.Success;
        });
        return command;
    }

    private static async Task<ulong> CopyAsync(NvmeController controller, NvmeNamespace disk, ulong block, Stream source, CancellationToken cancellationToken)
    {
        const int Piece = 1 << 20;
        using DmaBuffer buffer = controller.AllocateDma(Piece);
        byte[] copy = new byte[Piece];
        ulong written = 0;
        while (true)
        {
            int count = await source.ReadAtLeastAsync(copy, Piece, throwOnEndOfStream: false, cancellationToken);
            if (count == 0)
            {
                return written;
            }

            int blocks = (count + disk.BlockSize - 1) / disk.BlockSize;
            if (block > disk.BlockCount || (ulong)blocks > disk.BlockCount - block)
            {
                throw new VfioException(
                    Abi.Errno.ENOSPC, $"write to block {block} of namespace {disk.Id} of {controller.Address}", $"It has {disk.BlockCount} blocks; {written} bytes were written.");
            }

            if (count % disk.BlockSize != 0)
            {
                nuint last = (nuint)((blocks - 1) * disk.BlockSize);
                await disk.ReadAsync(block + (ulong)blocks - 1, buffer, last, (nuint)disk.BlockSize);
            }

            copy.AsSpan(0, count).CopyTo(buffer.Slice(0, count));
            await disk.WriteAsync(block, buffer, 0, (nuint)(blocks * disk.BlockSize));
            block += (ulong)blocks;
            written += (ulong)count;
        }
    }
}

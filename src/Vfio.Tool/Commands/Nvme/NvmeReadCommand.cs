using System.CommandLine;
using Vfio.Drivers.Nvme;

namespace Vfio.Tool.Commands.Nvme;

/// <summary><c>vfio nvme ADDRESS read</c>: data of a namespace to a file or to standard output.</summary>
internal static class NvmeReadCommand
{
    public static Command Create(Argument<string> address)
    {
        Option<int> id = NvmeSession.Namespace();
        Option<ulong?> offset = NvmeSession.Offset();
        Option<ulong?> length = CommonOptions.Size("--length", "How much, a multiple of the block size; to the end when not given", null);
        Option<FileInfo?> output = new("--output") { Description = "The file; standard output when not given" };
        Command command = new("read", "Read blocks to standard output or a file.") { id, offset, length, output };
        command.SetAction(async (result, cancellationToken) =>
        {
            FileInfo? file = result.GetValue(output);
            if (file is null && !Console.IsOutputRedirected)
            {
                throw new UsageException("What is stored is not for a terminal: give --output FILE, or redirect the output.");
            }

            await using NvmeSession session = await NvmeSession.OpenAsync(result.GetRequiredValue(address), new NvmeOptions(), cancellationToken);
            NvmeNamespace disk = session.Select(result.GetValue(id));
            ulong block = NvmeSession.ToBlocks(disk, result.GetValue(offset) ?? 0, "--offset");
            ulong end = result.GetValue(length) is { } bytes ? block + NvmeSession.ToBlocks(disk, bytes, "--length") : disk.BlockCount;
            if (block > disk.BlockCount || end > disk.BlockCount || end < block)
            {
                throw new UsageException($"Namespace {disk.Id} has {disk.BlockCount * (ulong)disk.BlockSize} bytes, which --offset and --length go beyond.");
            }

            await using Stream target = file is null ? Console.OpenStandardOutput() : file.Create();
            await CopyAsync(session.Controller, disk, block, end, target, cancellationToken);
            return CommandLine.Success;
        });
        return command;
    }

    /// <summary>Reads ahead by one piece, so that device and file work at the same time.</summary>
    private static async Task CopyAsync(NvmeController controller, NvmeNamespace disk, ulong block, ulong end, Stream target, CancellationToken cancellationToken)
    {
        const int Piece = 1 << 20;
        ulong blocks = (ulong)(Piece / disk.BlockSize);
        using DmaBuffer buffer = controller.AllocateDma(2 * Piece);
        byte[] copy = new byte[Piece];
        Task reading = ReadAsync(block);
        try
        {
            for (int half = 0; block < end; half ^= 1)
            {
                await reading;
                int length = (int)Math.Min(blocks, end - block) * disk.BlockSize;
                ulong next = block + blocks;
                reading = ReadAsync(next, half ^ 1);
                buffer.Slice((nuint)(half * Piece), length).CopyTo(copy);
                await target.WriteAsync(copy.AsMemory(0, length), cancellationToken);
                block = next;
            }
        }
        finally
        {
            // The buffer is the device's until it has answered.
            await reading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        Task ReadAsync(ulong from, int half = 0) => from >= end
            ? Task.CompletedTask
            : disk.ReadAsync(from, buffer, (nuint)(half * Piece), (nuint)Math.Min(blocks, end - from) * (nuint)disk.BlockSize).AsTask();
    }
}

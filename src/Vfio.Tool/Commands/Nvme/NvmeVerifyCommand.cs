using System.CommandLine;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Vfio.Drivers.Nvme;
using Vfio.Tool.Output;

namespace Vfio.Tool.Commands.Nvme;

/// <summary><c>vfio nvme ADDRESS verify</c>: writes a pattern, reads it back and compares, across resets of the controller.</summary>
internal static class NvmeVerifyCommand
{
    private const int Piece = 1 << 20;

    public static Command Create(Argument<string> address)
    {
        Option<int> id = NvmeSession.Namespace();
        Option<ulong?> offset = NvmeSession.Offset();
        Option<ulong?> size = CommonOptions.Size("--size", "How much, in whole MiB", 64 << 20);
        Option<ulong?> resetAfter = CommonOptions.Size("--reset-after", "Reset the controller when so much is written, and again when so much is read, with commands under way", null);
        Option<int> depth = CommonOptions.Number("--in-flight", "Transfers of 1 MiB at once", 4, "1 to 64", static value => value is >= 1 and <= 64);
        Option<bool> poll = NvmeSession.Poll();
        Option<bool> yes = new("--yes") { Description = "Overwrite what is stored there" };
        Option<bool> json = CommonOptions.Json();
        Command command = new("verify", "Write a pattern, read it back and compare. Status 1 when it differs.") { id, offset, size, resetAfter, depth, poll, yes, json };
        command.SetAction(async (result, cancellationToken) =>
        {
            if (!result.GetValue(yes))
            {
                throw new UsageException("What is stored there would be lost: say --yes if it may.");
            }

            ulong bytes = result.GetValue(size)!.Value;
            if (bytes == 0 || bytes % Piece != 0)
            {
                throw new UsageException($"--size is a multiple of {Piece}, which {bytes} is not.");
            }

            NvmeOptions options = new() { AllowWrites = true, Completion = result.GetValue(poll) ? NvmeCompletionMode.Polling : NvmeCompletionMode.Interrupts };
            await using NvmeSession session = await NvmeSession.OpenAsync(result.GetRequiredValue(address), options, cancellationToken);
            NvmeNamespace disk = session.Select(result.GetValue(id));
            ulong block = NvmeSession.ToBlocks(disk, result.GetValue(offset) ?? 0, "--offset");
            if (block > disk.BlockCount || bytes / (ulong)disk.BlockSize > disk.BlockCount - block)
            {
                throw new UsageException($"Namespace {disk.Id} has {disk.BlockCount * (ulong)disk.BlockSize} bytes, which --offset and --size go beyond.");
            }

            int pieces = (int)(bytes / Piece);
            int resetPiece = result.GetValue(resetAfter) is { } after ? (int)(after / Piece) : -1;
            long started = Stopwatch.GetTimestamp();
            ulong written = await RunAsync(session.Controller, disk, block, pieces, resetPiece, result.GetValue(depth), write: true);
            await disk.FlushAsync();
            TimeSpan writing = Stopwatch.GetElapsedTime(started);
            started = Stopwatch.GetTimestamp();
            ulong read = await RunAsync(session.Controller, disk, block, pieces, resetPiece, result.GetValue(depth), write: false);
            TimeSpan reading = Stopwatch.GetElapsedTime(started);
            NvmeStatistics statistics = session.Controller.Statistics;
            if (result.GetValue(json))
            {
                Json.Print(new JsonObject
                {
                    ["bytes"] = bytes,
                    ["written"] = $"{written:x16}",
                    ["read"] = $"{read:x16}",
                    ["equal"] = written == read,
                    ["resets"] = statistics.Resets,
                    ["replays"] = statistics.Replays,
                    ["writeSeconds"] = Math.Round(writing.TotalSeconds, 3),
                    ["readSeconds"] = Math.Round(reading.TotalSeconds, 3),
                });
            }
            else
            {
                double mebibytes = bytes / (double)Piece;
                Console.WriteLine($"written  {bytes} bytes  checksum {written:x16}  {mebibytes / writing.TotalSeconds:f0} MiB/s");
                Console.WriteLine($"read     {bytes} bytes  checksum {read:x16}  {mebibytes / reading.TotalSeconds:f0} MiB/s");
                Console.WriteLine($"resets   {statistics.Resets}, commands sent again {statistics.Replays}");
                Console.WriteLine(written == read ? "equal" : "DIFFERENT");
            }

            return written == read ? CommandLine.Success : CommandLine.Failed;
        });
        return command;
    }

    /// <summary>Writes or reads all pieces, several at once.</summary>
    /// <returns>The checksum of what was to be written, or of what was read.</returns>
    private static async Task<ulong> RunAsync(NvmeController controller, NvmeNamespace disk, ulong block, int pieces, int resetPiece, int depth, bool write)
    {
        using DmaBuffer buffer = controller.AllocateDma((nuint)depth * Piece);
        ulong[] sums = new ulong[pieces];
        Task[] transfers = [.. Enumerable.Repeat(Task.CompletedTask, depth)];
        Task reset = Task.CompletedTask;
        try
        {
            for (int piece = 0; piece < pieces;)
            {
                if (piece == resetPiece)
                {
                    // Several commands in one go, and the reset right behind them.
                    await Task.WhenAll(transfers);
                    int end = Math.Min(pieces, piece + depth);
                    for (int i = piece; i < end; i++)
                    {
                        Prepare(i);
                    }

                    for (; piece < end; piece++)
                    {
                        transfers[piece % depth] = TransferAsync(piece);
                    }

                    reset = controller.ResetAsync();
                    continue;
                }

                await transfers[piece % depth];
                Prepare(piece);
                transfers[piece % depth] = TransferAsync(piece);
                piece++;
            }
        }
        finally
        {
            // The buffer is the device's until it has answered.
            await Task.WhenAll(transfers).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        await Task.WhenAll(transfers);
        await reset;
        ulong total = 0;
        foreach (ulong sum in sums)
        {
            total = Mix(total ^ sum);
        }

        return total;

        Span<ulong> Words(int piece) => MemoryMarshal.Cast<byte, ulong>(buffer.Slice((nuint)(piece % depth) * Piece, Piece));

        void Prepare(int piece)
        {
            // What was there before a read must not look like what is read.
            Words(piece).Clear();
            if (write)
            {
                Fill(piece, Words(piece));
                sums[piece] = Sum(Words(piece));
            }
        }

        async Task TransferAsync(int piece)
        {
            ulong first = block + ((ulong)piece * (ulong)(Piece / disk.BlockSize));
            nuint at = (nuint)(piece % depth) * Piece;
            if (write)
            {
                await disk.WriteAsync(first, buffer, at, Piece);
                return;
            }

            await disk.ReadAsync(first, buffer, at, Piece);
            sums[piece] = Sum(Words(piece));
        }
    }

    /// <summary>A pattern in which no two words are equal, whichever piece they are in.</summary>
    private static void Fill(int piece, Span<ulong> words)
    {
        for (int i = 0; i < words.Length; i++)
        {
            words[i] = Mix(((ulong)piece << 32) + (ulong)i + 1);
        }
    }

    /// <summary>Depends on every word and on their order.</summary>
    private static ulong Sum(ReadOnlySpan<ulong> words)
    {
        ulong sum = (ulong)words.Length;
        foreach (ulong word in words)
        {
            sum = ((sum ^ word) * 0x9E3779B97F4A7C15UL) + 1;
        }

        return sum;
    }

    private static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9UL;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EBUL;
        return value ^ (value >> 31);
    }
}

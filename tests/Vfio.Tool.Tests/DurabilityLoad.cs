using System.Buffers.Binary;
using Vfio.Drivers.Nvme;

namespace Vfio.Tool.Tests;

/// <summary>
/// Writers that make blocks durable, and the memory of what was promised: each block carries a generation, and whatever happens to the device, it
/// has at least the one that was acknowledged as durable (by a flush behind it, or a write with FUA), at most the one that was sent last, and no mixture.
/// </summary>
/// <remarks>The writers have blocks of their own, so that a block's generations are written one after the other.</remarks>
internal sealed class DurabilityLoad(int seed)
{
    public const int BlockSize = 512;
    private const int Writers = 4;
    private const int BlocksOfWriter = 512;
    private const int Blocks = Writers * BlocksOfWriter;
    private readonly Random _seeds = new(seed);
    private readonly long[] _sent = new long[Blocks];
    private readonly long[] _acknowledged = new long[Blocks];
    private readonly long[] _durable = new long[Blocks];
    private readonly long[] _generation = new long[Writers];
    private long _promises;

    /// <summary>The length of the disk that it needs, in bytes.</summary>
    public const int Length = Blocks * BlockSize;

    /// <summary>How many writes were acknowledged as durable so far.</summary>
    public long Promises => Volatile.Read(ref _promises);

    /// <summary>Writes until the device fails, which must be after <paramref name="ending"/> was set.</summary>
    public Task RunAsync(NvmeNamespace disk, CancellationToken ending)
    {
        int[] seeds = [.. Enumerable.Range(0, Writers).Select(_ => _seeds.Next())];
        return Task.WhenAll(Enumerable.Range(0, Writers).Select(writer => Task.Run(() => WriteAsync(disk, writer, new Random(seeds[writer]), ending), CancellationToken.None)));
    }

    /// <summary>Compares blocks with what was promised of them, and takes them for what there is from now on.</summary>
    /// <param name="image">All blocks.</param>
    /// <returns>What is wrong, one line each.</returns>
    public List<string> Check(ReadOnlySpan<byte> image)
    {
        List<string> wrong = [];
        Span<byte> expected = stackalloc byte[BlockSize];
        for (int block = 0; block < Blocks; block++)
        {
            ReadOnlySpan<byte> found = image.Slice(block * BlockSize, BlockSize);
            long generation = BinaryPrimitives.ReadInt64LittleEndian(found);
            Fill(expected, block, generation);
            if (!found.SequenceEqual(expected))
            {
                wrong.Add($"block {block} is a mixture (it begins as generation {generation})");
            }
            else if (generation < _durable[block] || generation > _sent[block])
            {
                wrong.Add($"block {block} has generation {generation}; {_durable[block]} was durable, {_sent[block]} sent last");
            }

            _sent[block] = _acknowledged[block] = _durable[block] = generation;
        }

        return wrong;
    }

    private static void Fill(Span<byte> block, int number, long generation)
    {
        block.Clear();
        if (generation == 0)
        {
            return;
        }

        ulong value = ((ulong)generation * 0x9E3779B97F4A7C15) ^ (ulong)number;
        for (int at = 8; at < BlockSize; at += 8)
        {
            value = (value * 6364136223846793005) + 1442695040888963407;
            BinaryPrimitives.WriteUInt64LittleEndian(block[at..], value);
        }

        BinaryPrimitives.WriteInt64LittleEndian(block, generation);
    }

    private async Task WriteAsync(NvmeNamespace disk, int writer, Random random, CancellationToken ending)
    {
        byte[] data = new byte[16 * BlockSize];
        int first = writer * BlocksOfWriter;
        try
        {
            while (true)
            {
                if (random.Next(4) == 0)
                {
                    // A flush makes durable what was acknowledged before it was sent.
                    long[] before = _acknowledged.AsSpan(first, BlocksOfWriter).ToArray();
                    await disk.FlushAsync();
                    for (int i = 0; i < BlocksOfWriter; i++)
                    {
                        Promise(first + i, before[i]);
                    }

                    continue;
                }

                int count = random.Next(1, 17);
                int block = first + random.Next(BlocksOfWriter - count + 1);
                bool force = random.Next(4) == 0;
                long generation = ++_generation[writer];
                for (int i = 0; i < count; i++)
                {
                    _sent[block + i] = generation;
                    Fill(data.AsSpan(i * BlockSize, BlockSize), block + i, generation);
                }

                await disk.WriteAsync((ulong)block, data.AsMemory(0, count * BlockSize), force);
                for (int i = 0; i < count; i++)
                {
                    _acknowledged[block + i] = generation;
                    if (force)
                    {
                        Promise(block + i, generation);
                    }
                }
            }
        }
        catch (Exception) when (ending.IsCancellationRequested)
        {
            // The device is gone, as it should be.
        }
    }

    private void Promise(int block, long generation)
    {
        if (generation > _durable[block])
        {
            _durable[block] = generation;
            Interlocked.Increment(ref _promises);
        }
    }
}

using Vfio.Iommu;

namespace Vfio.Bench;

/// <summary>Looking areas up, mapping and unmapping, with many others live.</summary>
internal static class AreaScenarios
{
    private const string Numbers = "random numbers";
    private const string FindSame = "find, same area";
    private const string FindRandom = "find, random area";
    private const string LookUpSame = "lookup, same area";
    private const string LookUpRandom = "lookup, random area";
    private const string LookUpMeanwhile = "lookup, random, map+unmap runs";
    private const string MapRandom = "map+unmap, random place";
    private const string MapStart = "map+unmap, start";
    private const string MapMiddle = "map+unmap, middle";
    private const string MapEnd = "map+unmap, end";
    private const string Fill = "map all and unmap all, per area";

    public static void Run(Meter meter)
    {
        ulong[] sizes = [1, 1024, 16_384, 65_536, 1_000_000];
        foreach (ulong areas in sizes)
        {
            if (meter.Wants(Numbers, FindSame, FindRandom, LookUpSame, LookUpRandom, LookUpMeanwhile, MapRandom, MapStart, MapMiddle, MapEnd))
            {
                using AddressSpace space = new((int)areas);
                LookUp(meter, space, areas);
                Map(meter, space, areas);
            }

            if (meter.Wants(Fill))
            {
                using AddressSpace space = new(0);
                meter.Measure(Fill, (long)areas, count => FillAndEmpty(space, (int)areas, count), (int)areas);
            }
        }
    }

    private static void LookUp(Meter meter, AddressSpace space, ulong areas)
    {
        RandomNumbers random = new();
        ulong sum = 0;
        ulong same = AddressSpace.First + (areas / 2 * AddressSpace.Stride);
        meter.Measure(Numbers, (long)areas, count =>
        {
            for (int i = 0; i < count; i++)
            {
                sum += random.Next(areas);
            }
        });
        meter.Measure(FindSame, (long)areas, count => Find(space, same, count));
        meter.Measure(FindRandom, (long)areas, count =>
        {
            for (int i = 0; i < count; i++)
            {
                Find(space, AddressSpace.First + (random.Next(areas) * AddressSpace.Stride), 1);
            }
        });
        meter.Measure(LookUpSame, (long)areas, count =>
        {
            for (int i = 0; i < count; i++)
            {
                sum += LookUp(space, same);
            }
        });
        void Randomly(int count)
        {
            for (int i = 0; i < count; i++)
            {
                sum += LookUp(space, AddressSpace.First + (random.Next(areas) * AddressSpace.Stride));
            }
        }

        meter.Measure(LookUpRandom, (long)areas, Randomly);
        if (meter.Wants(LookUpMeanwhile))
        {
            using CancellationTokenSource stop = new();
            Thread writer = new(() =>
            {
                RandomNumbers places = new();
                while (!stop.IsCancellationRequested)
                {
                    MapAndUnmap(space, AddressSpace.First + (places.Next(areas) * AddressSpace.Stride) + (AddressSpace.Stride / 2));
                }
            });
            writer.Start();
            meter.Measure(LookUpMeanwhile, (long)areas, Randomly, elapsed: true);
            stop.Cancel();
            writer.Join();
        }

        GC.KeepAlive(sum);
    }

    private static void Map(Meter meter, AddressSpace space, ulong areas)
    {
        RandomNumbers random = new();
        meter.Measure(MapRandom, (long)areas, count =>
        {
            for (int i = 0; i < count; i++)
            {
                MapAndUnmap(space, AddressSpace.First + (random.Next(areas) * AddressSpace.Stride) + (AddressSpace.Stride / 2));
            }
        });
        MeasureMap(MapStart, AddressSpace.First - AddressSpace.Stride);
        MeasureMap(MapMiddle, AddressSpace.First + (areas / 2 * AddressSpace.Stride) + (AddressSpace.Stride / 2));
        MeasureMap(MapEnd, AddressSpace.First + (areas * AddressSpace.Stride));

        void MeasureMap(string name, ulong iova) => meter.Measure(name, (long)areas, count =>
        {
            for (int i = 0; i < count; i++)
            {
                MapAndUnmap(space, iova);
            }
        });
    }

    private static void FillAndEmpty(AddressSpace space, int areas, int count)
    {
        for (int done = 0; done < count; done++)
        {
            for (int i = 0; i < areas; i++)
            {
                space.Map(AddressSpace.First + ((ulong)i * AddressSpace.Stride), 1);
            }

            AddressSpace.Ensure(space.Ioas.Unmap(IovaRange.All, out _));
        }
    }

    private static void Find(AddressSpace space, ulong iova, int count)
    {
        for (int i = 0; i < count; i++)
        {
            if (!space.Ioas.TryGetArea(iova, out _))
            {
                throw new InvalidOperationException("An area was not found.");
            }
        }
    }

    private static byte LookUp(AddressSpace space, ulong iova)
    {
        AddressSpace.Ensure(space.Access.TryOpenWindow(iova, 64, DmaAccess.Read, out DmaWindow window));
        byte first = window.Span[0];
        window.Dispose();
        return first;
    }

    private static void MapAndUnmap(AddressSpace space, ulong iova)
    {
        space.Map(iova, 1);
        space.Unmap(iova, 1);
    }
}

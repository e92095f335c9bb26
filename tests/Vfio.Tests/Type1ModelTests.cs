using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Tests;

/// <summary>Random sequences of maps, pins and unmaps in both versions of type1 against a sorted list.</summary>
public sealed class Type1ModelTests
{
    private const ulong Page = Type1Rig.Page;

    [Theory]
    [InlineData(VfioUapi.VFIO_TYPE1_IOMMU, false)]
    [InlineData(VfioUapi.VFIO_TYPE1v2_IOMMU, false)]
    [InlineData(VfioUapi.VFIO_TYPE1v2_IOMMU, true)]
    public void Type1_maps_and_unmaps_as_a_sorted_list_does(uint type, bool physical) => ModelRun.Check(
        steps => RunType1(type, physical, steps).GetAwaiter().GetResult(),
        sequences: 20);

    private static async Task RunType1(uint type, bool physical, IReadOnlyList<Step> steps)
    {
        await using Type1Rig rig = new(physical, type);
        bool version2 = type == VfioUapi.VFIO_TYPE1v2_IOMMU;
        SortedDictionary<ulong, ulong> maps = [];
        SortedDictionary<ulong, int> pins = [];

        // Every page that is asked back is given back.
        rig.Device.Unmapping = (iova, length) =>
        {
            foreach ((ulong page, int count) in pins.Where(pin => pin.Key >= iova && pin.Key - iova < length).ToArray())
            {
                for (int i = 0; i < count; i++)
                {
                    rig.Unpin(page);
                }

                pins.Remove(page);
            }
        };
        foreach (Step step in steps)
        {
            ulong iova = (ulong)(step.A % 64) * Page;
            ulong size = (ulong)((step.B % 8) + 1) * Page;
            switch (step.Kind % 5)
            {
                case 0 or 1:
                    bool free = !Covered(iova, size).Any();
                    Assert.Equal(free ? Errno.None : Errno.EEXIST, rig.Map(iova, size));
                    if (free)
                    {
                        maps.Add(iova, size);
                    }

                    break;
                case 2:
                    Unmap(iova, size);
                    break;
                case 3:
                    bool mapped = version2 && Covered(iova, Page).Any(); // Version 1 does not pin.
                    Assert.Equal(mapped, rig.Pin(iova).Value == 1);
                    if (mapped)
                    {
                        pins[iova] = pins.GetValueOrDefault(iova) + 1;
                    }

                    break;
                case 4 when pins.Count > 0:
                    (ulong page, int count) = pins.ElementAt(step.C % pins.Count);
                    rig.Unpin(page);
                    if (count == 1)
                    {
                        pins.Remove(page);
                    }
                    else
                    {
                        pins[page] = count - 1;
                    }

                    break;
            }
        }

        Assert.Equal(Errno.None, rig.Iommu.Unmap(Type1UnmapFlags.All, 0, 0, out ulong rest));
        Assert.Equal(maps.Values.Aggregate(0ul, static (sum, size) => sum + size), rest);
        Assert.Empty(pins);

        IEnumerable<KeyValuePair<ulong, ulong>> Covered(ulong iova, ulong size)
            => maps.Where(map => map.Key < iova + size && iova < map.Key + map.Value);

        void Unmap(ulong iova, ulong size)
        {
            KeyValuePair<ulong, ulong>[] hit = [.. Covered(iova, size)];
            bool startsInside = hit.Length > 0 && hit[0].Key < iova;
            bool endsInside = hit.Length > 0 && hit[^1].Key + hit[^1].Value > iova + size;
            Errno expected = version2 && (startsInside || endsInside) ? Errno.EINVAL : Errno.None;
            ulong removed = 0;
            if (expected == Errno.None && !startsInside)
            {
                foreach ((ulong at, ulong length) in hit)
                {
                    maps.Remove(at);
                    removed += length;
                }
            }

            Assert.Equal(expected, rig.Unmap(iova, size, out ulong unmapped));
            Assert.Equal(removed, unmapped);
        }
    }
}

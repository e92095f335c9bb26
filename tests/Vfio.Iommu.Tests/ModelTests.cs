using Vfio.Abi;
using static Vfio.Iommu.Tests.IommufdCaller;
using static Vfio.Iommu.Testing.MockIommu;

namespace Vfio.Iommu.Tests;

/// <summary>Random sequences against naïve models: object table, address space, copies, pins, devices, dirty bits.</summary>
public sealed class ModelTests
{
    private const CallerCapabilities Ordinary = CallerCapabilities.All & ~CallerCapabilities.IpcLock;

    [Fact]
    public void Object_table_gives_the_lowest_free_id_and_keeps_what_is_used() => ModelRun.Check(static steps =>
    {
        using IommufdCaller c = new();
        SortedSet<uint> spaces = [];
        SortedDictionary<uint, uint?> accesses = [];
        Dictionary<uint, IommufdAccess> made = [];
        foreach (Step step in steps)
        {
            uint lowest = 1;
            while (spaces.Contains(lowest) || accesses.ContainsKey(lowest))
            {
                lowest++;
            }

            uint any = (uint)(step.A % 12);
            switch (step.Kind % 5)
            {
                case 0:
                    Assert.Equal(lowest, c.Alloc());
                    spaces.Add(lowest);
                    break;
                case 1:
                    bool attached = accesses.ContainsValue(any);
                    Errno expected = accesses.ContainsKey(any) ? Errno.EBUSY : !spaces.Contains(any) ? Errno.ENOENT : attached ? Errno.EBUSY : Errno.None;
                    Assert.Equal(expected, c.Destroy(any));
                    if (expected == Errno.None)
                    {
                        spaces.Remove(any);
                    }

                    break;
                case 2:
                    Assert.Equal(Errno.None, c.Context.CreateAccess(null, out IommufdAccess? access));
                    Assert.Equal(lowest, access!.Id);
                    accesses.Add(lowest, null);
                    made.Add(lowest, access);
                    break;
                case 3 when accesses.Count > 0:
                    uint one = accesses.Keys.ElementAt(step.B % accesses.Count);
                    Assert.Equal(spaces.Contains(any) ? Errno.None : Errno.ENOENT, made[one].AttachOrReplace(any));
                    accesses[one] = spaces.Contains(any) ? any : accesses[one];
                    break;
                case 4 when accesses.Count > 0:
                    uint gone = accesses.Keys.ElementAt(step.B % accesses.Count);
                    made[gone].Destroy();
                    made.Remove(gone);
                    accesses.Remove(gone);
                    break;
            }

            Assert.Equal(spaces.Count + accesses.Count, c.Context.ObjectCount);
        }

        foreach (IommufdAccess access in made.Values)
        {
            access.Destroy();
        }
    });

    [Fact]
    public void Address_space_maps_copies_and_unmaps_as_a_sorted_list_does() => ModelRun.Check(static steps =>
    {
        using IommufdCaller c = new();
        uint ioas = c.Alloc();
        SortedDictionary<ulong, (ulong Length, ulong Address)> model = [];
        foreach (Step step in steps)
        {
            ulong iova = (ulong)(step.A % 3000);
            ulong length = (ulong)(step.B % (step.Kind % 4 == 0 ? 200 : 4)) + 1;
            switch (step.Kind % 5)
            {
                case 0 or 1:
                    Errno expected = Overlaps(iova, length) ? Errno.EEXIST : Errno.None;
                    ulong address = B + ((ulong)step.C % 4096);
                    Assert.Equal(expected, c.Map(ioas, iova, length, va: address));
                    if (expected == Errno.None)
                    {
                        model.Add(iova, (length, address));
                    }

                    break;
                case 2:
                    Unmap(iova, length);
                    break;
                case 3:
                    Copy(iova, length, (ulong)(step.C % 3000));
                    break;
                case 4:
                    // What the memory holds is what the list says, byte by byte.
                    Assert.Equal(Errno.None, c.Context.CreateAccess(null, out IommufdAccess? access));
                    Assert.Equal(Errno.None, access!.AttachOrReplace(ioas));
                    byte[] read = new byte[length];
                    bool all = Walk(iova, length, out List<(ulong Address, ulong Length)> pieces);
                    Assert.Equal(all ? Errno.None : Errno.ENOENT, access.Read(iova, read));
                    int at = 0;
                    foreach ((ulong from, ulong size) in pieces)
                    {
                        Assert.True(c.Memory.Buffer.Slice((int)(from - B), (int)size).SequenceEqual(read.AsSpan(at, (int)size)));
                        at += (int)size;
                    }

                    access.Destroy();
                    break;
            }

            Assert.Equal(model.Count, c.Ioas(ioas).AreaCount);
        }

        bool Overlaps(ulong iova, ulong length) => model.Any(area => area.Key < iova + length && iova < area.Key + area.Value.Length);

        void Unmap(ulong iova, ulong length)
        {
            Errno expected = Errno.None;
            ulong removed = 0;
            foreach ((ulong at, (ulong Length, ulong Address) area) in model.Where(area => area.Key < iova + length && iova < area.Key + area.Value.Length).ToArray())
            {
                if (at < iova || at + area.Length > iova + length)
                {
                    expected = Errno.ENOENT;
                    break;
                }

                model.Remove(at);
                removed += area.Length;
            }

            Assert.Equal(expected == Errno.None && removed == 0 ? Errno.ENOENT : expected, c.Unmap(ioas, iova, length, out ulong told));
            Assert.Equal(expected == Errno.None && removed > 0 ? removed : length, told);
        }

        void Copy(ulong iova, ulong length, ulong target)
        {
            bool all = Walk(iova, length, out List<(ulong Address, ulong Length)> pieces);
            Errno expected = !all ? Errno.ENOENT : Overlaps(target, length) ? Errno.EEXIST : Errno.None;
            Assert.Equal(expected, c.Copy(ioas, target, ioas, iova, length));
            if (expected == Errno.None)
            {
                foreach ((ulong address, ulong size) in pieces)
                {
                    model.Add(target, (size, address));
                    target += size;
                }
            }
        }

        bool Walk(ulong iova, ulong length, out List<(ulong Address, ulong Length)> pieces)
        {
            pieces = [];
            ulong end = iova + length;
            while (iova < end)
            {
                (ulong at, (ulong Length, ulong Address) area) = model.FirstOrDefault(area => iova >= area.Key && iova < area.Key + area.Value.Length);
                if (area.Length == 0)
                {
                    return false;
                }

                ulong size = Math.Min(end, at + area.Length) - iova;
                pieces.Add((area.Address + (iova - at), size));
                iova += size;
            }

            return true;
        }
    });

    [Fact]
    public void Pins_and_devices_keep_the_books_of_pages() => ModelRun.Check(static steps =>
    {
        LockedMemoryAccount user = new();
        using IommufdCaller c = new(Ordinary, new ProcessMemoryAccount(user));
        uint ioas = c.Alloc();
        IommufdDevice device = c.Bind();
        SortedDictionary<ulong, (ulong Length, int Page)> areas = [];
        List<DmaPin> pins = [];
        bool attached = false;
        Assert.Equal(Errno.None, c.Context.CreateAccess(DropPins, out IommufdAccess? access));
        Assert.Equal(Errno.None, access!.AttachOrReplace(ioas));
        foreach (Step step in steps)
        {
            ulong iova = Base + ((ulong)(step.A % 64) * P);
            switch (step.Kind % 7)
            {
                case 0 or 1:
                    int page = step.B % 12;
                    ulong length = (ulong)((step.C % 4) + 1) * P;
                    bool free = !areas.Any(area => area.Key < iova + length && iova < area.Key + area.Value.Length);
                    Assert.Equal(free ? Errno.None : Errno.EEXIST, c.Map(ioas, iova, length, va: B + ((ulong)page * P)));
                    if (free)
                    {
                        areas.Add(iova, (length, page));
                    }

                    break;
                case 2 when areas.Count > 0:
                    (ulong at, (ulong Length, int Page) gone) = areas.ElementAt(step.B % areas.Count);
                    Assert.Equal(Errno.None, c.Unmap(ioas, at, gone.Length));
                    areas.Remove(at);
                    break;
                case 3 or 4 when areas.Count > 0:
                    (ulong start, (ulong Length, int Page) area) = areas.ElementAt(step.B % areas.Count);
                    int skip = step.A % (int)(area.Length / P);
                    int count = (step.C % ((int)(area.Length / P) - skip)) + 1;
                    Assert.Equal(Errno.None, access.TryPin(start + ((ulong)skip * P), (ulong)count * P, DmaAccess.ReadWrite, out DmaPin? pin));
                    pins.Add(pin!);
                    break;
                case 5 when pins.Count > 0:
                    pins[step.B % pins.Count].Dispose();
                    pins.RemoveAt(step.B % pins.Count);
                    break;
                case 6 when step.B % 4 == 0:
                    uint target = ioas;
                    if (attached)
                    {
                        device.Detach();
                    }
                    else
                    {
                        Assert.Equal(Errno.None, device.Attach(ref target));
                    }

                    attached = !attached;
                    break;
            }

            // A page of one map is in place once while a domain shows it or an access pins it; maps do not share.
            int expected = areas.Sum(entry =>
            {
                HashSet<ulong> held = [];
                for (ulong at = entry.Key; at < entry.Key + entry.Value.Length; at += P)
                {
                    if (attached || pins.Exists(pin => pin.Range.Contains(at)))
                    {
                        held.Add(at);
                    }
                }

                return held.Count;
            });
            Assert.Equal((expected, (long)expected), (c.Memory.PinCount, user.Pages));
        }

        access.Destroy();
        Assert.Empty(pins);

        void DropPins(ulong iova, ulong length)
        {
            foreach (DmaPin pin in pins.ToArray())
            {
                if (length == ulong.MaxValue || (pin.Range.Start < iova + length && iova <= pin.Range.Last))
                {
                    pin.Dispose();
                    pins.Remove(pin);
                }
            }
        }
    });

    [Fact]
    public void Dirty_bits_are_those_of_a_naive_bitmap() => ModelRun.Check(
        static steps =>
        {
            SimulatedIommu iommu = new() { PageSizes = P };
            Assert.Equal(Errno.None, iommu.CreateDomain(DomainOptions.DirtyTracking, default, out IPagingDomain? domain));
            using IPagingDomain owned = domain!;
            MemorySource source = new UserMemorySource(new ProcessUserMemory(), B, 256 * P, writable: true);
            for (ulong at = 0; at < 256; at += 32)
            {
                Assert.Equal(Errno.None, domain!.Map(Range(at * P, ((at + 32) * P) - 1), source, at * P, DmaAccess.ReadWrite));
            }

            Assert.Equal(Errno.None, domain!.SetTracking(true));
            bool[] model = new bool[256];
            foreach (Step step in steps)
            {
                int first = step.A % 256;
                int count = (step.B % (256 - first)) + 1;
                IovaRange range = Range((ulong)first * P, ((ulong)(first + count) * P) - 1);
                if (step.Kind % 2 == 0)
                {
                    // A device writes inside one mapping, not always whole pages.
                    ulong start = range.Start + ((ulong)step.C % P);
                    Assert.Equal(Errno.None, domain.Enter(start, DmaAccess.Write, out DomainMapping? mapping));
                    IovaRange written = Range(start, Math.Min(mapping!.Range.Last, range.Last));
                    domain.MarkWritten(mapping, written);
                    mapping.Exit();
                    Array.Fill(model, true, (int)(written.Start / P), (int)(written.Last / P) - (int)(written.Start / P) + 1);
                    continue;
                }

                bool[] told = new bool[256];
                domain.ReadWritten(range, clear: step.C % 2 == 0, run =>
                {
                    Assert.True(range.Contains(run));
                    Array.Fill(told, true, (int)(run.Start / P), (int)(run.Length / P));
                });
                Assert.Equal(model.AsSpan(first, count).ToArray(), told.AsSpan(first, count).ToArray());
                if (step.C % 2 == 0)
                {
                    Array.Clear(model, first, count);
                }
            }

            source.RemoveReference();
        });
}

using System.Diagnostics;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;
using Vfio.TestUtilities;

namespace Vfio.Differential.Tests;

/// <summary>
/// Ioctls in great number, sound, mutated and random, on every file of a host with two functions behind an IOMMU: each is answered, and in the end
/// nothing is open, mapped or charged.
/// </summary>
public sealed class IoctlMutationTests
{
    private const int Calls = 10_000;
    private const int Charge = 4096;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    public static TheoryData<int> Seeds => [.. ModelRun.Seeds(5)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task Mutated_ioctls_are_answered_and_leave_nothing(int seed)
    {
        using EventFd eventFd = new();
        using MemFd memory = new("mutation", 1 << 20);
        DescriptorLeakGuard guard = new();
        Random random = new(seed);
        LockedMemoryAccount account = new(Charge);
        await using VfioHost host = new(new VfioHostOptions
        {
            LockedMemory = account,
            IommufdLimits = new IommufdLimits { MaximumAreas = 1024, MaximumObjects = 256 },
            DmaEntryLimit = 1024,
        });
        List<VfioDevice> devices = [];
        foreach (Target target in Targets.All)
        {
            VfioDevice device = host.Allocate(() => new ModelDevice(target, null, enforcesDecode: true));
            host.RegisterGroupDevice(device, new DeviceParent(Targets.Address(target)) { IommuGroup = host.CreateIommuGroup(hardware: MachineIommu.Instance), TracksWrites = target == Target.B });
            devices.Add(device);
        }

        TestUserMemory user = new(1 << 20);
        int answered = 0;
        int refused = 0;
        long before = GC.GetTotalMemory(forceFullCollection: true);
        using (CallerFiles files = new())
        {
            List<int> numbers = [files.Adopt(eventFd.Descriptor), files.Adopt(memory.Descriptor)];
            string[] paths =
            [
                "/dev/vfio/vfio", "/dev/iommu",
                .. devices.Select(static device => $"/dev/vfio/{device.Group!.NodeName}"),
                .. devices.Select(static device => $"/dev/vfio/devices/{device.NodeName}"),
            ];
            IoctlArguments arguments = new(random, user, Pick);
            for (int i = 0; i < Calls; i++)
            {
                Renew(host, random, paths, files, numbers);
                uint command = arguments.Next(out ulong address, out int number);
                _ = files.TryGet(number, out object? file);
                long started = Stopwatch.GetTimestamp();
                IoResult result;
                try
                {
                    result = file is VfioFile asked ? asked.Ioctl(command, new UserArgument(user, address, files)) : Errno.ENOTTY;
                }
                catch (Exception exception)
                {
                    throw new InvalidOperationException($"Seed {seed}, call {i}: 0x{command:x} on {file} threw.", exception);
                }

                Assert.InRange(Stopwatch.GetElapsedTime(started), TimeSpan.Zero, s_patience);
                answered += result.IsError ? 0 : 1;
                refused += result.IsError ? 1 : 0;

                // Some answer with a new descriptor.
                if (!result.IsError && files.TryGet((int)result.Count, out object? made) == Errno.None && made is VfioFile && !numbers.Contains((int)result.Count))
                {
                    numbers.Add((int)result.Count);
                }
            }

            // One in ten is any of them.
            int Pick(Type? kind)
            {
                int[] fitting = random.Next(10) == 0 ? [] : [.. numbers.Where(number => files.TryGet(number, out object? file) == Errno.None && file!.GetType() == kind)];
                return fitting.Length > 0 ? fitting[random.Next(fitting.Length)] : numbers[random.Next(numbers.Count)];
            }
        }

        // Neither extreme would have tested much.
        Assert.InRange(answered, Calls / 50, Calls);
        Assert.InRange(refused, Calls / 50, Calls);
        Assert.Equal(0, account.Pages);
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, 32 << 20);

        // Whoever comes next finds the devices as ever.
        foreach (VfioDevice device in devices)
        {
            Assert.Equal(Errno.None, host.Open($"/dev/vfio/devices/{device.NodeName}", out VfioFile? file));
            file!.Dispose();
        }

        await host.DisposeAsync();
        devices.ForEach(static device => device.Put());
        Assert.Empty(guard.FindLeaks());
    }

    /// <summary>Opens files and closes them, so that there are some and not too many.</summary>
    private static void Renew(VfioHost host, Random random, string[] paths, CallerFiles files, List<int> numbers)
    {
        while (numbers.Count < 10 || random.Next(100) == 0)
        {
            Errno error = host.Open(paths[random.Next(paths.Length)], out VfioFile? file);
            if (error == Errno.None)
            {
                numbers.Add((int)files.Install(file!).Count);
            }
            else
            {
                Assert.Equal(Errno.EBUSY, error);
            }

            if (numbers.Count > 24)
            {
                int at = random.Next(2, numbers.Count);
                Assert.Equal(Errno.None, files.Close(numbers[at]));
                numbers.RemoveAt(at);
            }
        }
    }
}

using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Linux;
using Vfio.TestUtilities;

namespace Vfio.Pci.Tests;

/// <summary>Commands and features with arguments that nobody sane would send: an answer each, no exception, nothing left over.</summary>
public sealed class HostileCommandTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Random_commands_are_answered_and_leave_nothing(int seed)
    {
        using DescriptorLeakGuard guard = new();
        await using BusRig rig = new();
        CallbackRegisters map = new CallbackRegisters("m", 0x100).Add(0x10, static () => 1, static _ => { });
        TestDevice device = rig.Add("d0", 3, configure: pci => pci.PciExpress().PowerManagement().Intx().Msi(4).Msix(8, bar: 4).PhysicalFunction()
            .Bar(0, map, 0x1000).Bar(2, new BarMemory("shared", 0x4000)));
        using Iommu.IommufdContext context = new();
        VfioDeviceFile file = rig.Bind("d0", context);
        using EventFd eventFd = new();
        rig.Files.Files[5] = eventFd.Descriptor;
        rig.Files.Files[6] = "a pipe";
        Random random = new(seed);
        byte[] argument = new byte[128];
        int answered = 0;
        for (int i = 0; i < 20_000; i++)
        {
            Fill(random, argument);
            uint command = random.Next(3) == 0 ? VfioUapi.VFIO_DEVICE_FEATURE : VfioUapi.VFIO_DEVICE_GET_INFO + (uint)random.Next(15);
            if (command == VfioUapi.VFIO_DEVICE_FEATURE)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(argument.AsSpan(4), (uint)random.Next(16) | ((uint)random.Next(8) << 16));
            }

            if (command is VfioUapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT or VfioUapi.VFIO_DEVICE_BIND_IOMMUFD)
            {
                continue;
            }

            answered += file.Ioctl(command, new UserArgument(argument.AsSpan(0, random.Next(4) == 0 ? random.Next(128) : 128), rig.Files)).IsError ? 0 : 1;
            _ = file.Read(argument.AsSpan(0, random.Next(16)), PciLayout.Position((uint)random.Next(10), (ulong)random.Next(0x5000)));
            if (rig.Files.Files.Count > 50)
            {
                foreach ((int number, object exported) in rig.Files.Files.Where(static entry => entry.Value is PciDmaBuf).ToArray())
                {
                    ((PciDmaBuf)exported).Dispose();
                    rig.Files.Remove(number);
                }
            }
        }

        Assert.True(answered > 500, $"{answered}");
        foreach (object exported in rig.Files.Files.Values)
        {
            (exported as PciDmaBuf)?.Dispose();
        }

        file.Dispose();
        Assert.Equal(0, device.OpenCount);
        Assert.False(device.IsSuspended);
        Assert.Equal(InterruptMode.None, device.Interrupts.Mode);
    }

    private static void Fill(Random random, byte[] argument)
    {
        if (random.Next(6) == 0)
        {
            random.NextBytes(argument);
        }
        else
        {
            Array.Clear(argument);
        }

        uint[] sizes = [8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 64, 128, 7];
        uint[] values = [0, 1, 2, 3, 4, 5, 6, 8, 0x10, 0x20, 0x21, 0x22, 0x24, 0x1000, 0x2000, 0x4000, uint.MaxValue];
        BinaryPrimitives.WriteUInt32LittleEndian(argument, sizes[random.Next(sizes.Length)]);
        for (int at = 4; at < 64; at += 4)
        {
            if (random.Next(2) == 0)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(argument.AsSpan(at), values[random.Next(values.Length)]);
            }
        }
    }
}

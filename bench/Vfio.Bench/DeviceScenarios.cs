using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Bench;

/// <summary>What a program and a device do with each other in one process: register accesses and DMA.</summary>
internal static class DeviceScenarios
{
    private const string DmaRead = "Dma.Read, bytes";
    private const string DmaWrite = "Dma.Write, bytes";
    private const string RegisterRead = "device file, register read";
    private const string RegisterWrite = "device file, register write";
    private const string ConfigRead = "device file, config space read";

    public static async Task RunAsync(Meter meter)
    {
        if (!meter.Wants(DmaRead, DmaWrite, RegisterRead, RegisterWrite, ConfigRead))
        {
            return;
        }

        using AddressSpace space = new(1024);
        space.Map(0, 512);
        await using VfioHost host = new();
        MeasuredDevice device = host.Allocate(static () => new MeasuredDevice());
        VfioRegistration registration = host.RegisterEmulatedIommuDevice(device, "measured");
        AddressSpace.Ensure(host.TryOpenDevice("measured", out VfioDeviceFile? file));
        AddressSpace.Ensure(file!.Bind(space.Context, out _));
        uint ioas = space.Ioas.Id;
        AddressSpace.Ensure(file.Attach(ref ioas));
        Transfers(meter, device.Memory);
        Registers(meter, file);
        file.Dispose();
        await registration.DisposeAsync();
        device.Put();
    }

    private static void Transfers(Meter meter, DmaSpace dma)
    {
        foreach (int length in (int[])[64, 65_536])
        {
            byte[] buffer = new byte[length];
            meter.Measure(DmaRead, length, count =>
            {
                for (int i = 0; i < count; i++)
                {
                    AddressSpace.Ensure(dma.Read(0x1000, buffer));
                }
            });
            meter.Measure(DmaWrite, length, count =>
            {
                for (int i = 0; i < count; i++)
                {
                    AddressSpace.Ensure(dma.Write(0x1000, buffer));
                }
            });
        }
    }

    private static void Registers(Meter meter, VfioDeviceFile file)
    {
        byte[] value = new byte[sizeof(uint)];
        Measure(RegisterRead, () => file.Read(value, PciLayout.Position((uint)PciRegion.Bar0, 0x10)));
        Measure(RegisterWrite, () => file.Write(value, PciLayout.Position((uint)PciRegion.Bar0, 0x10)));
        Measure(ConfigRead, () => file.Read(value, PciLayout.Position((uint)PciRegion.Config, 0)));

        void Measure(string name, Func<IoResult> access) => meter.Measure(name, sizeof(uint), count =>
        {
            for (int i = 0; i < count; i++)
            {
                if (access().Count != sizeof(uint))
                {
                    throw new InvalidOperationException("The access failed.");
                }
            }
        });
    }
}

using Vfio.Pci;

namespace Vfio.Bench;

/// <summary>A register file alone, without a device around it.</summary>
internal static class RegisterScenarios
{
    private const string FileRead = "register file, read";
    private const string FileWrite = "register file, write";

    public static void Run(Meter meter)
    {
        if (!meter.Wants(FileRead, FileWrite))
        {
            return;
        }

        Measure(meter, FileRead, FileWrite, new MeasuredRegisters());
    }

    private static void Measure(Meter meter, string read, string write, RegisterBlock block)
    {
        meter.Measure(read, sizeof(uint), count =>
        {
            for (int i = 0; i < count; i++)
            {
                Ensure(block.Read(0x10, sizeof(uint), out _));
            }
        });
        meter.Measure(write, sizeof(uint), count =>
        {
            for (int i = 0; i < count; i++)
            {
                Ensure(block.Write(0x10, sizeof(uint), (uint)i));
            }
        });
    }

    private static void Ensure(AccessResult result)
    {
        if (result != AccessResult.Ok)
        {
            throw new InvalidOperationException($"The access failed: {result}.");
        }
    }
}

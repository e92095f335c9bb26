using Vfio.Pci;

namespace Vfio.Bench;

/// <summary>Register blocks alone, without a device around them: what is generated, and what is put together at run time.</summary>
internal static class RegisterScenarios
{
    private const string FileRead = "register file, read";
    private const string FileWrite = "register file, write";
    private const string MapRead = "register map, read";
    private const string MapWrite = "register map, write";

    public static void Run(Meter meter)
    {
        if (!meter.Wants(FileRead, FileWrite, MapRead, MapWrite))
        {
            return;
        }

        uint value = 0;
        Measure(meter, FileRead, FileWrite, new MeasuredRegisters());
        Measure(meter, MapRead, MapWrite, new RegisterMap("measured", 0x100)
            .ReadOnly32(0x00, "identification", static () => 1)
            .ReadWrite32(0x10, "register", () => value, written => value = written)
            .WriteOneToClear32(0x20, "causes", static () => 0, static _ => { }));
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

using Vfio.Devices.Edu;
using Vfio.Qemu.Tests.Harness;

namespace Vfio.Qemu.Tests;

/// <summary>A machine without a guest that has one edu, of whichever kind.</summary>
internal sealed class EduMachine : IAsyncDisposable
{
    public const int Slot = 4;

    private readonly ServedEdu? _served;

    private EduMachine(QtestMachine machine, ServedEdu? served)
    {
        Machine = machine;
        _served = served;
        Edu = machine.Pci(Slot);
    }

    public QtestMachine Machine { get; }

    public QtestPciFunction Edu { get; }

    public static async Task<EduMachine> StartAsync(EduKind kind, EduOptions? options = null)
    {
        ServedEdu? served = kind == EduKind.Qemu ? null : new ServedEdu(options);
        try
        {
            QemuDevice device = (served?.Device ?? QemuDevice.Of("edu")).At(Slot);
            if (kind == EduKind.AnsweredWrites)
            {
                device = device.With("x-no-posted-writes", true);
            }

            QtestMachine machine = await QtestMachine.StartAsync(
                new QtestOptions { Devices = [device], SharedMemory = kind != EduKind.Messages });
            return new EduMachine(machine, served);
        }
        catch
        {
            if (served is not null)
            {
                await served.DisposeAsync();
            }

            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        Machine.Dispose();
        if (_served is not null)
        {
            await _served.DisposeAsync();
        }
    }
}

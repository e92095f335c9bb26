using Vfio.Pci;

namespace Vfio.Drivers.Nvme.Tests;

/// <summary>BAR 0 of the fake.</summary>
internal sealed class FakeNvmeRegisters(FakeNvmeDevice device) : RegisterBlock("nvme", 0x2000)
{
    public override int MaxAccessWidth => 4;

    public override AccessResult Read(ulong offset, int width, out ulong value)
    {
        value = device.IsGone ? uint.MaxValue : offset switch
        {
            ControllerRegister.Capabilities => (uint)device.Capabilities,
            ControllerRegister.Capabilities + 4 => (uint)(device.Capabilities >> 32),
            ControllerRegister.Version => 0x00020000,
            ControllerRegister.Configuration => device.Configuration,
            ControllerRegister.Status => device.Status,
            _ => 0,
        };
        return AccessResult.Ok;
    }

    public override AccessResult Write(ulong offset, int width, ulong value)
    {
        device.WriteRegister(offset, (uint)value);
        return AccessResult.Ok;
    }

    public override void Reset(ResetKind kind) => device.WriteRegister(ControllerRegister.Configuration, 0);
}

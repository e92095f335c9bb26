using Vfio.Abi;

namespace Vfio.Pci.Tests;

/// <summary>A device whose declaration and hooks a test gives.</summary>
internal sealed class TestDevice(Action<PciDeviceBuilder> configure) : VfioPciDevice
{
    public List<ResetKind> Resets { get; } = [];

    public List<PciCommand> Commands { get; } = [];

    public List<int> PowerStates { get; } = [];

    public int VendorChanges { get; private set; }

    public int Opened { get; private set; }

    public int Closed { get; private set; }

    public int Suspends { get; private set; }

    public int Resumes { get; private set; }

    public Errno ResumeResult { get; set; }

    public Action<ResetKind>? ResetAction { get; set; }

    public void Wake() => WakeUp();

    protected override void Configure(PciDeviceBuilder pci)
    {
        pci.Id(0x1234, 0x5678, 3).Class(0xFF, 0);
        configure(pci);
    }

    protected internal override void OnReset(ResetKind kind)
    {
        Resets.Add(kind);
        ResetAction?.Invoke(kind);
    }

    protected override void OnCommandChanged(PciCommand command) => Commands.Add(command);

    protected override void OnSuspended() => Suspends++;

    protected override Errno OnResumed()
    {
        Resumes += ResumeResult == Errno.None ? 1 : 0;
        return ResumeResult;
    }

    protected override void OnPowerStateChanged(int state) => PowerStates.Add(state);

    protected override void OnVendorConfigChanged() => VendorChanges++;

    protected override Errno OnOpened()
    {
        Opened++;
        return Errno.None;
    }

    protected override void OnClosed() => Closed++;
}

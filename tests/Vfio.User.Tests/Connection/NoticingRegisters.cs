using Vfio.Pci;

namespace Vfio.User.Tests.Connection;

/// <summary>A window of eight bytes into memory.</summary>
/// <param name="device">Whose memory it is.</param>
[RegisterFile("noticing", Size = 0x100)]
internal sealed partial class NoticingRegisters(NoticingDevice device)
{
    [Register(0x00, Widths = RegisterWidths.Dword, Description = "where the value is")]
    public partial ulong Address { get; }

    [Register(0x08, Widths = RegisterWidths.Dword, BeforeRead = nameof(Load), BeforeWrite = nameof(Store), Description = "the eight bytes there")]
    public partial ulong Value { get; }

    private ulong Load() => device.Load(Address);

    private ulong Store(ulong value)
    {
        device.Store(Address, value);
        return 0;
    }
}

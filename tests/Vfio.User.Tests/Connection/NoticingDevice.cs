using Vfio.Pci;

namespace Vfio.User.Tests.Connection;

/// <summary>An Express function with every kind of capability, which writes down what happens to it and copies memory on command.</summary>
internal sealed class NoticingDevice : VfioPciDevice
{
    private readonly RegisterMap _registers;
    private ulong _address;

    public NoticingDevice() => _registers = new RegisterMap("noticing", 0x100)
        .ReadWrite64(0x00, "address", () => _address, value => _address = value, "where the value is", RegisterWidths.Dword)
        .ReadWrite64(0x08, "value", Load, Store, "the eight bytes there", RegisterWidths.Dword);

    public List<string> Events { get; } = [];

    protected override void Configure(PciDeviceBuilder pci) => pci
        .Id(0x1234, 0xAB01, 7)
        .Subsystem(0x1AF4, 0x1101)
        .Class(0x01, 0x08, 0x02)
        .Intx()
        .Bar(0, _registers, size: 0x1000)
        .Bar(2, new BarMemory("table", 0x4000))
        .PowerManagement()
        .PciExpress()
        .Msi(vectors: 8, maskable: true)
        .Msix(vectors: 33, bar: 2, tableOffset: 0x1000, pbaOffset: 0x2000)
        .Vendor([1, 2, 3, 4])
        .SerialNumber(0x1122334455667788)
        .Aer();

    protected override void OnCommandChanged(PciCommand command) => Events.Add($"command {command}");

    protected override void OnReset(ResetKind kind) => Events.Add("reset");

    private ulong Load()
    {
        Span<byte> value = stackalloc byte[8];
        return Dma.Read(_address, value) == Abi.Errno.None ? BitConverter.ToUInt64(value) : ulong.MaxValue;
    }

    private void Store(ulong value) => _ = Dma.Write(_address, BitConverter.GetBytes(value));
}

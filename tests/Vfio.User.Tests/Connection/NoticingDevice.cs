using Vfio.Pci;

namespace Vfio.User.Tests.Connection;

/// <summary>An Express function with every kind of capability, which writes down what happens to it and copies memory on command.</summary>
internal sealed class NoticingDevice : VfioPciDevice
{
    private readonly NoticingRegisters _registers;

    public NoticingDevice() => _registers = new NoticingRegisters(this);

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

    internal ulong Load(ulong address)
    {
        Span<byte> value = stackalloc byte[8];
        return Dma.Read(address, value) == Abi.Errno.None ? BitConverter.ToUInt64(value) : ulong.MaxValue;
    }

    internal void Store(ulong address, ulong value) => _ = Dma.Write(address, BitConverter.GetBytes(value));
}

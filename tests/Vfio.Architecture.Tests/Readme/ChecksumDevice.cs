using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Architecture.Tests.Readme;

public sealed partial class ChecksumDevice : VfioPciDevice
{
    private readonly Registers _registers;
    private DeviceWork? _work;

    public ChecksumDevice() => _registers = new Registers(this);

    protected override void Configure(PciDeviceBuilder pci)
    {
        pci.Id(vendor: 0x1234, device: 0xC5C5).Class(0xFF, 0x00).Bar(0, _registers, size: 0x1000).Msi(vectors: 1);
        _work = CreateWork("checksum", Run);
    }

    private void Run(WorkTurn turn)
    {
        ulong address;
        byte[] data;
        lock (StateLock)
        {
            address = _registers.Address;
            data = new byte[_registers.Length];
        }

        bool failed = Dma.Read(address, data) != Errno.None;   // no lock is held here
        lock (StateLock)
        {
            if (!turn.IsCancelled)
            {
                _registers.Sum = failed ? uint.MaxValue : (uint)data.Sum(static value => (long)value);
                Interrupts.Signal(0);
            }
        }
    }

    [RegisterFile("checksum", Size = 0x20)]
    private sealed partial class Registers(ChecksumDevice device)
    {
        [Register(0x00, Description = "IOVA of the data")]
        public partial ulong Address { get; }

        [Register(0x08, BeforeWrite = nameof(Limit), AfterWrite = nameof(Start), Description = "bytes, at most 4096; a write starts")]
        public partial uint Length { get; }

        [Register(0x0C, Access = RegisterAccess.ReadOnly, Description = "the sum of the bytes, valid after the interrupt")]
        public partial uint Sum { get; set; }

        private static uint Limit(uint value) => Math.Min(value, 4096);

        private void Start() => device._work!.Schedule();
    }
}

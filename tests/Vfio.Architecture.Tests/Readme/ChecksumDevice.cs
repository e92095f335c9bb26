using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Architecture.Tests.Readme;

public sealed class ChecksumDevice : VfioPciDevice
{
    private readonly RegisterMap _registers;
    private DeviceWork? _work;
    private ulong _address;
    private uint _length;
    private uint _sum;

    public ChecksumDevice() => _registers = new RegisterMap("checksum", 0x20)
        .ReadWrite64(0x00, "address", () => _address, value => _address = value, "IOVA of the data")
        .ReadWrite32(0x08, "length", () => _length, Start, "bytes, at most 4096; a write starts")
        .ReadOnly32(0x0C, "sum", () => _sum, "the sum of the bytes, valid after the interrupt");

    protected override void Configure(PciDeviceBuilder pci)
    {
        pci.Id(vendor: 0x1234, device: 0xC5C5).Class(0xFF, 0x00).Bar(0, _registers, size: 0x1000).Msi(vectors: 1);
        _work = CreateWork("checksum", Run);
    }

    protected override void OnReset(ResetKind kind) => (_address, _length, _sum) = (0, 0, 0);

    private void Start(uint length)
    {
        _length = Math.Min(length, 4096);
        _work!.Schedule();
    }

    private void Run(WorkTurn turn)
    {
        ulong address;
        byte[] data;
        lock (StateLock)
        {
            address = _address;
            data = new byte[_length];
        }

        bool failed = Dma.Read(address, data) != Errno.None;   // no lock is held here
        lock (StateLock)
        {
            if (!turn.IsCancelled)
            {
                _sum = failed ? uint.MaxValue : (uint)data.Sum(static value => (long)value);
                Interrupts.Signal(0);
            }
        }
    }
}

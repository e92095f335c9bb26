using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Differential;

/// <summary>
/// The device of both sides: the core has it as a function, and the virtual machine has it through a vfio-user server. Its registers are those
/// of edu (devices/Edu/README.md) as far as they matter here.
/// </summary>
/// <param name="target">
/// <see cref="Target.A"/> is a conventional function that cannot be reset, with a pin and one MSI vector; <see cref="Target.B"/> an Express one
/// with function level reset, power management, four MSI and four MSI-X vectors, and a BAR of memory.
/// </param>
/// <param name="bus">The bus of <see cref="Target.B"/>; null where the function's place is not the core's matter.</param>
/// <param name="enforcesDecode">Whether BARs answer only while the function decodes memory, as vfio-pci has it.</param>
internal sealed class ModelDevice(Target target, PciBus? bus, bool enforcesDecode) : VfioPciDevice
{
    public const ulong RegistersSize = 0x100000;
    public const ulong MemorySize = 0x10000;
    public const int Vectors = 4;
    private const ulong BufferAddress = 0x40000;
    private const int BufferSize = 4096;
    private readonly byte[] _buffer = new byte[BufferSize];
    private readonly BarMemory? _memory = target == Target.B ? new BarMemory("model memory", MemorySize) : null;
    private DeviceWork? _dma;
    private ModelRegisters? _registers;

    /// <inheritdoc/>
    protected override void Configure(PciDeviceBuilder pci)
    {
        _registers = new ModelRegisters(this);
        pci.Id(vendor: 0x1234, device: 0x11E8, revision: 0x10)
            .Subsystem(0x1AF4, 0x1100)
            .Class(0x00, 0xFF)
            .Intx()
            .Bar(0, _registers, RegistersSize);
        if (target == Target.A)
        {
            pci.Msi(vectors: 1).WithoutReset();
        }
        else
        {
            pci.PciExpress(offset: 0x40)
                .PowerManagement(offset: 0x80)
                .Msi(Vectors, offset: 0x90)
                .Msix(Vectors, bar: 4, tableOffset: 0, pbaOffset: 0x800, policy: MsixTablePolicy.Hidden, offset: 0xA0)
                .Bar(2, _memory!);
        }

        if (bus is not null)
        {
            pci.Address(bus, device: 0);
        }

        if (enforcesDecode)
        {
            pci.EnforceDecode();
        }

        _dma = CreateWork("DMA", Transfer);
    }

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind) => Interrupts.SetIntx(false);

    /// <inheritdoc/>
    protected override void OnDisposed() => _memory?.Dispose();

    /// <summary>Transfers what the registers say.</summary>
    internal void StartDma() => _dma!.Schedule(TimeSpan.Zero);

    private void Transfer(WorkTurn turn)
    {
        ulong memory;
        ulong device;
        int count;
        bool toMemory;
        lock (StateLock)
        {
            toMemory = _registers!.IsToMemory;
            memory = toMemory ? _registers.DmaDestination : _registers.DmaSource;
            device = toMemory ? _registers.DmaSource : _registers.DmaDestination;
            count = (int)Math.Min(_registers.DmaCount, BufferSize);
        }

        // What comes of it shows in memory.
        if (device == BufferAddress)
        {
            _ = toMemory ? Dma.Write(memory, _buffer.AsSpan(0, count)) : Dma.Read(memory, _buffer.AsSpan(0, count));
        }

        lock (StateLock)
        {
            if (!turn.IsCancelled)
            {
                _registers.IsTransferring = false;
            }
        }
    }
}

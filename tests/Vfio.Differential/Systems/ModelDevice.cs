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
    private const uint DmaBusy = 1;
    private const uint DmaToMemory = 2;
    private const ulong BufferAddress = 0x40000;
    private const int BufferSize = 4096;
    private readonly byte[] _buffer = new byte[BufferSize];
    private readonly BarMemory? _memory = target == Target.B ? new BarMemory("model memory", MemorySize) : null;
    private DeviceWork? _dma;
    private uint _liveness;
    private uint _interruptStatus;
    private ulong _source;
    private ulong _destination;
    private ulong _count;
    private ulong _command;

    /// <inheritdoc/>
    protected override void Configure(PciDeviceBuilder pci)
    {
        RegisterMap registers = new RegisterMap("model", 0x100)
            .ReadOnly32(Edu.Identification, "identification", static () => 0x010000ED, "version and kind")
            .ReadWrite32(Edu.Liveness, "liveness", () => _liveness, value => _liveness = ~value, "reads the inverse of what was written")
            .ReadOnly32(Edu.InterruptStatus, "interrupt status", () => _interruptStatus, "causes")
            .WriteOnly32(Edu.Vector, "vector", value => Interrupts.Signal((int)(value % Vectors)), "signals a message vector")
            .WriteOnly32(Edu.Raise, "interrupt raise", Raise, "sets causes and interrupts")
            .WriteOnly32(Edu.Acknowledge, "interrupt acknowledge", Acknowledge, "clears causes")
            .ReadWrite64(Edu.DmaSource, "DMA source", () => _source, value => _source = value, "address to read from", RegisterWidths.Dword, NarrowAccess.ZeroExtend)
            .ReadWrite64(Edu.DmaDestination, "DMA destination", () => _destination, value => _destination = value, "address to write to", RegisterWidths.Dword, NarrowAccess.ZeroExtend)
            .ReadWrite64(Edu.DmaCount, "DMA count", () => _count, value => _count = value, "bytes to transfer", RegisterWidths.Dword, NarrowAccess.ZeroExtend)
            .ReadWrite64(Edu.DmaCommand, "DMA command", () => _command, StartDma, "bit 0 starts and reads 1 while busy, bit 1 is the direction", RegisterWidths.Dword, NarrowAccess.ZeroExtend);
        pci.Id(vendor: 0x1234, device: 0x11E8, revision: 0x10)
            .Subsystem(0x1AF4, 0x1100)
            .Class(0x00, 0xFF)
            .Intx()
            .Bar(0, registers, RegistersSize);
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
    protected override void OnReset(ResetKind kind)
    {
        _liveness = _interruptStatus = 0;
        _source = _destination = _count = _command = 0;
        Interrupts.SetIntx(false);
    }

    /// <inheritdoc/>
    protected override void OnDisposed() => _memory?.Dispose();

    private void Raise(uint causes)
    {
        _interruptStatus |= causes;
        if (Interrupts.UsesMessages)
        {
            Interrupts.Signal(0);
        }
        else
        {
            Interrupts.SetIntx(_interruptStatus != 0);
        }
    }

    private void Acknowledge(uint causes)
    {
        _interruptStatus &= ~causes;
        if (_interruptStatus == 0)
        {
            Interrupts.SetIntx(false);
        }
    }

    private void StartDma(ulong command)
    {
        if ((_command & DmaBusy) == 0)
        {
            _command = command;
            if ((command & DmaBusy) != 0)
            {
                _dma!.Schedule(TimeSpan.Zero);
            }
        }
    }

    private void Transfer(WorkTurn turn)
    {
        ulong memory;
        ulong device;
        int count;
        bool toMemory;
        lock (StateLock)
        {
            toMemory = (_command & DmaToMemory) != 0;
            memory = toMemory ? _destination : _source;
            device = toMemory ? _source : _destination;
            count = (int)Math.Min(_count, BufferSize);
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
                _command &= ~(ulong)DmaBusy;
            }
        }
    }
}

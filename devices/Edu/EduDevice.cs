using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Devices.Edu;

/// <summary>
/// A teaching device, register-compatible with QEMU's <c>edu</c>: an identification, a liveness check, a factorial computed in the
/// background, a DMA engine with a 4 KiB buffer, and an interrupt by pin or MSI. The README has the register table.
/// </summary>
public sealed class EduDevice : VfioPciDevice
{
    private const ulong BarSize = 1 << 20;
    private const ulong BufferAddress = 0x40000;
    private const int BufferSize = 4096;
    private const uint FactorialInterrupt = 0x00000001;
    private const uint DmaInterrupt = 0x00000100;
    private const ulong DmaStart = 1;
    private const ulong DmaToMemory = 2;
    private const ulong DmaRaise = 4;
    private const uint StatusComputing = 0x01;
    private const uint StatusRaise = 0x80;
    private readonly EduOptions _options;
    private readonly byte[] _buffer = new byte[BufferSize];
    private DeviceWork? _factorialWork;
    private DeviceWork? _dmaWork;
    private uint _liveness;
    private uint _factorial;
    private uint _status;
    private uint _interruptStatus;
    private ulong _dmaSource;
    private ulong _dmaDestination;
    private ulong _dmaCount;
    private ulong _dmaCommand;

    /// <summary>Makes the device.</summary>
    /// <param name="options">Settings; null for the defaults.</param>
    public EduDevice(EduOptions? options = null)
    {
        _options = options ?? new EduOptions();
        Registers = new RegisterMap("edu", 0x100)
            .ReadOnly32(0x00, "identification", () => 0x010000ED, "0xRRrr00ED: major and minor version of the device")
            .ReadWrite32(0x04, "liveness", () => _liveness, value => _liveness = ~value, "reads the inverse of what was written")
            .ReadWrite32(0x08, "factorial", () => _factorial, StartFactorial, "write n, read n! (modulo 2³²) when status bit 0 is clear")
            .ReadWrite32(0x20, "status", () => _status, WriteStatus, "bit 0: computing (RO); bit 7: interrupt when the factorial is done")
            .ReadOnly32(0x24, "interrupt status", () => _interruptStatus, "causes: bit 0 factorial, bit 8 DMA, others as raised")
            .WriteOnly32(0x60, "interrupt raise", value => Raise(value), "sets bits in the interrupt status and interrupts")
            .WriteOnly32(0x64, "interrupt acknowledge", Acknowledge, "clears bits in the interrupt status")
            .ReadWrite64(0x80, "DMA source", () => _dmaSource, value => SetDma(ref _dmaSource, value), "address to read from", RegisterWidths.Dword, NarrowAccess.ZeroExtend)
            .ReadWrite64(0x88, "DMA destination", () => _dmaDestination, value => SetDma(ref _dmaDestination, value), "address to write to", RegisterWidths.Dword, NarrowAccess.ZeroExtend)
            .ReadWrite64(0x90, "DMA count", () => _dmaCount, value => SetDma(ref _dmaCount, value), "bytes to transfer", RegisterWidths.Dword, NarrowAccess.ZeroExtend)
            .ReadWrite64(0x98, "DMA command", () => _dmaCommand, StartDma, "bit 0: start, reads 1 while busy; bit 1: direction, 0 memory to buffer, 1 buffer to memory; bit 2: interrupt when done", RegisterWidths.Dword, NarrowAccess.ZeroExtend);
    }

    /// <summary>The device's registers.</summary>
    public RegisterMap Registers { get; }

    /// <inheritdoc/>
    protected override void Configure(PciDeviceBuilder pci)
    {
        ArgumentNullException.ThrowIfNull(pci);
        pci.Id(vendor: 0x1234, device: 0x11E8, revision: 0x10)
            .Subsystem(0x1AF4, 0x1100)
            .Class(0x00, 0xFF)
            .Intx()
            .Bar(0, Registers, BarSize)
            .Msi(vectors: 1);
        _factorialWork = CreateWork("factorial", ComputeFactorial);
        _dmaWork = CreateWork("DMA", TransferDma);
    }

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind)
    {
        _liveness = 0;
        _factorial = 0;
        _status = 0;
        _interruptStatus = 0;
        _dmaSource = _dmaDestination = _dmaCount = _dmaCommand = 0;
        Array.Clear(_buffer);
        Interrupts.SetIntx(false);
    }

    private void StartFactorial(uint value)
    {
        // As the original: a value written while computing is dropped.
        if ((_status & StatusComputing) == 0)
        {
            _factorial = value;
            _status |= StatusComputing;
            _factorialWork!.Schedule(_options.FactorialDelay);
        }
    }

    private void ComputeFactorial(WorkTurn turn)
    {
        uint value;
        lock (StateLock)
        {
            value = _factorial;
        }

        uint result = 1;

        // Beyond 33 the product is 0 modulo 2³² and stays so: the loop is bounded whatever a guest writes.
        for (uint n = value; n > 0 && result != 0; n--)
        {
            result *= n;
        }

        lock (StateLock)
        {
            if (turn.IsCancelled)
            {
                return;
            }

            _factorial = result;
            _status &= ~StatusComputing;
            if ((_status & StatusRaise) != 0)
            {
                Raise(FactorialInterrupt);
            }
        }
    }

    private void WriteStatus(uint value) => _status = (_status & ~StatusRaise) | (value & StatusRaise);

    private void Raise(uint causes)
    {
        _interruptStatus |= causes;
        if (_interruptStatus == 0)
        {
            return;
        }

        if (Interrupts.UsesMessages)
        {
            Interrupts.Signal(0);
        }
        else
        {
            Interrupts.SetIntx(true);
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

    private void SetDma(ref ulong register, ulong value)
    {
        // Registers cannot be changed under a running transfer.
        if ((_dmaCommand & DmaStart) == 0)
        {
            register = value;
        }
    }

    private void StartDma(ulong value)
    {
        if ((_dmaCommand & DmaStart) != 0)
        {
            return;
        }

        _dmaCommand = value;
        if ((value & DmaStart) != 0)
        {
            _dmaWork!.Schedule(_options.DmaDelay);
        }
    }

    private void TransferDma(WorkTurn turn)
    {
        Span<byte> copy = stackalloc byte[BufferSize];
        ulong memory;
        int offset;
        int count;
        bool toMemory;
        lock (StateLock)
        {
            if (turn.IsCancelled)
            {
                return;
            }

            toMemory = (_dmaCommand & DmaToMemory) != 0;
            ulong device = toMemory ? _dmaSource : _dmaDestination;
            memory = (toMemory ? _dmaDestination : _dmaSource) & _options.DmaMask;
            if (device < BufferAddress || device - BufferAddress > BufferSize || _dmaCount > BufferSize - (device - BufferAddress))
            {
                EduLog.OutsideBuffer(Logger, Name, device, _dmaCount);
                FinishDma();
                return;
            }

            offset = (int)(device - BufferAddress);
            count = (int)_dmaCount;
            if (toMemory)
            {
                _buffer.AsSpan(offset, count).CopyTo(copy);
            }
        }

        // Without the lock: the transfer may have to wait for the user.
        Errno error = count == 0 ? Errno.None : toMemory ? Dma.Write(memory, copy[..count]) : Dma.Read(memory, copy[..count]);
        lock (StateLock)
        {
            if (turn.IsCancelled)
            {
                return;
            }

            if (error != Errno.None)
            {
                EduLog.DmaFailed(Logger, Name, memory, count, error);
            }
            else if (!toMemory)
            {
                copy[..count].CopyTo(_buffer.AsSpan(offset));
            }

            FinishDma();
        }
    }

    private void FinishDma()
    {
        _dmaCommand &= ~DmaStart;
        if ((_dmaCommand & DmaRaise) != 0)
        {
            Raise(DmaInterrupt);
        }
    }
}

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
    private readonly EduOptions _options;
    private readonly EduRegisters _registers;
    private readonly byte[] _buffer = new byte[BufferSize];
    private DeviceWork? _factorialWork;
    private DeviceWork? _dmaWork;

    /// <summary>Makes the device.</summary>
    /// <param name="options">Settings; null for the defaults.</param>
    public EduDevice(EduOptions? options = null)
    {
        _options = options ?? new EduOptions();
        _registers = new EduRegisters(this);
    }

    /// <inheritdoc/>
    protected override void Configure(PciDeviceBuilder pci)
    {
        ArgumentNullException.ThrowIfNull(pci);
        pci.Id(vendor: 0x1234, device: 0x11E8, revision: 0x10)
            .Subsystem(0x1AF4, 0x1100)
            .Class(0x00, 0xFF)
            .Intx()
            .Bar(0, _registers, BarSize)
            .Msi(vectors: 1)
            .Migratable();
        _factorialWork = CreateWork("factorial", ComputeFactorial);
        _dmaWork = CreateWork("DMA", TransferDma);
    }

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind)
    {
        Array.Clear(_buffer);
        Interrupts.SetIntx(false);
    }

    /// <inheritdoc/>
    protected override void SaveIdentity(DeviceStateWriter writer) => writer.WriteUInt64(_options.DmaMask);

    /// <inheritdoc/>
    protected override void SaveState(DeviceStateWriter writer) => writer.WriteBytes(_buffer);

    /// <inheritdoc/>
    protected override Errno TryRestoreState(ref DeviceStateReader reader)
    {
        ReadOnlySpan<byte> buffer = reader.ReadBytes(BufferSize);
        buffer.CopyTo(_buffer);
        return Errno.None;
    }

    /// <inheritdoc/>
    protected override void OnContinued(bool isRestored)
    {
        if (isRestored)
        {
            _registers.Raise(0);
        }
    }

    /// <summary>Computes the factorial of what the register holds.</summary>
    internal void StartFactorial() => _factorialWork!.Schedule(_options.FactorialDelay);

    /// <summary>Transfers what the registers say.</summary>
    internal void StartDma() => _dmaWork!.Schedule(_options.DmaDelay);

    private void ComputeFactorial(WorkTurn turn)
    {
        uint value;
        lock (StateLock)
        {
            value = _registers.Factorial;
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

            _registers.Factorial = result;
            _registers.IsComputing = false;
            if (_registers.RaisesWhenComputed)
            {
                _registers.Raise(FactorialInterrupt);
            }
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

            toMemory = _registers.IsToMemory;
            ulong device = toMemory ? _registers.DmaSource : _registers.DmaDestination;
            memory = (toMemory ? _registers.DmaDestination : _registers.DmaSource) & _options.DmaMask;
            if (device < BufferAddress || device - BufferAddress > BufferSize || _registers.DmaCount > BufferSize - (device - BufferAddress))
            {
                EduLog.OutsideBuffer(Logger, Name, device, _registers.DmaCount);
                FinishDma();
                return;
            }

            offset = (int)(device - BufferAddress);
            count = (int)_registers.DmaCount;
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
        _registers.IsTransferring = false;
        if (_registers.RaisesWhenTransferred)
        {
            _registers.Raise(DmaInterrupt);
        }
    }
}

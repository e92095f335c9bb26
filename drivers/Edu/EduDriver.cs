using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Drivers.Edu;

/// <summary>
/// A user-space driver for QEMU's <c>edu</c> device and everything register-compatible, on any connection: an emulated device in this
/// process, a server across a socket, or hardware.
/// </summary>
/// <remarks>Owns the connection it was made on. One operation at a time.</remarks>
public sealed class EduDriver : IAsyncDisposable
{
    /// <summary>Size of the device's own buffer, in bytes: the most that one DMA transfer moves.</summary>
    public const int BufferSize = 4096;

    private const ushort VendorId = 0x1234;
    private const ushort DeviceId = 0x11E8;
    private const ulong BufferAddress = 0x40000;
    private readonly VfioConnection _connection;
    private readonly InterruptSet _interrupts;

    private EduDriver(VfioConnection connection, InterruptSet interrupts)
    {
        _connection = connection;
        _interrupts = interrupts;
    }

    /// <summary>The kind of interrupt in use.</summary>
    public PciInterrupt InterruptKind => _interrupts.Index;

    /// <summary>The device's version, from its identification register.</summary>
    public Version Version { get; private set; } = new();

    private VfioRegion Registers => _connection.Bar(0);

    /// <summary>Takes hold of a device: checks that it is an edu, resets it and turns on its interrupt (MSI if it has it, else INTx).</summary>
    /// <param name="connection">The connection; the driver owns it from here, also when this throws.</param>
    /// <param name="interrupt">The interrupt to use, or null to choose.</param>
    /// <returns>The driver.</returns>
    /// <exception cref="VfioException">The device is another one, or does not answer.</exception>
    public static EduDriver Open(VfioConnection connection, PciInterrupt? interrupt = null)
    {
        ArgumentNullException.ThrowIfNull(connection);
        try
        {
            ushort vendor = connection.Pci.VendorId;
            ushort device = connection.Pci.DeviceId;
            if (vendor != VendorId || device != DeviceId)
            {
                throw new VfioException(
                    Errno.ENODEV,
                    $"drive {connection.Address} as an edu",
                    $"It is {vendor:x4}:{device:x4}; an edu is {VendorId:x4}:{DeviceId:x4}.");
            }

            if ((connection.Info.Flags & DeviceFlags.Reset) != 0)
            {
                connection.Reset();
            }

            // Memory decoding for the registers, bus mastering for DMA and MSI.
            connection.Pci.Enable(PciCommand.MemorySpace | PciCommand.BusMaster);
            bool hasMsi = connection.Irqs[(int)PciInterrupt.Msi].Count > 0;
            InterruptSet interrupts = connection.EnableInterrupts(interrupt ?? (hasMsi ? PciInterrupt.Msi : PciInterrupt.Intx));
            EduDriver driver = new(connection, interrupts);
            uint identification = driver.Registers.Read32(EduRegister.Identification);
            if ((identification & 0xFF) != 0xED)
            {
                interrupts.Dispose();
                throw new VfioException(Errno.ENODEV, $"drive {connection.Address} as an edu", $"Its identification reads 0x{identification:x8}, which does not end in ED.");
            }

            driver.Version = new Version((int)(identification >> 24), (int)(identification >> 16) & 0xFF);
            return driver;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>Writes a pattern to the liveness register, which must read back inverted.</summary>
    /// <param name="pattern">The pattern.</param>
    /// <returns>True when the device is alive.</returns>
    public bool CheckLiveness(uint pattern = 0xA5A5_1234)
    {
        Registers.Write32(EduRegister.Liveness, pattern);
        return Registers.Read32(EduRegister.Liveness) == ~pattern;
    }

    /// <summary>Has the device compute a factorial and waits for its interrupt.</summary>
    /// <param name="n">The number.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>n! modulo 2³².</returns>
    public async Task<uint> ComputeFactorialAsync(uint n, CancellationToken cancellationToken = default)
    {
        Registers.Write32(EduRegister.Status, EduRegister.StatusInterruptWhenDone);
        Registers.Write32(EduRegister.Factorial, n);
        await WaitAsync(EduRegister.FactorialDone, cancellationToken).ConfigureAwait(false);
        return Registers.Read32(EduRegister.Factorial);
    }

    /// <summary>Has the device copy memory into its buffer by DMA and waits for its interrupt.</summary>
    /// <param name="source">The memory; at most <see cref="BufferSize"/> bytes of it are moved.</param>
    /// <param name="length">Bytes to move.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>A task that completes when the transfer is done.</returns>
    public Task CopyToDeviceAsync(DmaBuffer source, int length, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        return CopyToDeviceAsync(source.Iova, length, cancellationToken);
    }

    /// <summary>Has the device copy from an address into its buffer by DMA and waits for its interrupt.</summary>
    /// <param name="iova">The address, as the device sees it. The device does not tell when nothing is mapped there.</param>
    /// <param name="length">Bytes to move, at most <see cref="BufferSize"/>.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>A task that completes when the transfer is over.</returns>
    public Task CopyToDeviceAsync(ulong iova, int length, CancellationToken cancellationToken = default)
        => TransferAsync(iova, BufferAddress, length, EduRegister.DmaStart | EduRegister.DmaInterrupt, cancellationToken);

    /// <summary>Has the device copy its buffer to memory by DMA and waits for its interrupt.</summary>
    /// <param name="destination">The memory.</param>
    /// <param name="length">Bytes to move, at most <see cref="BufferSize"/>.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>A task that completes when the transfer is done.</returns>
    public Task CopyFromDeviceAsync(DmaBuffer destination, int length, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(destination);
        return CopyFromDeviceAsync(destination.Iova, length, cancellationToken);
    }

    /// <summary>Has the device copy its buffer to an address by DMA and waits for its interrupt.</summary>
    /// <param name="iova">The address, as the device sees it. The device does not tell when nothing is mapped there.</param>
    /// <param name="length">Bytes to move, at most <see cref="BufferSize"/>.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>A task that completes when the transfer is over.</returns>
    public Task CopyFromDeviceAsync(ulong iova, int length, CancellationToken cancellationToken = default)
        => TransferAsync(BufferAddress, iova, length, EduRegister.DmaStart | EduRegister.DmaToMemory | EduRegister.DmaInterrupt, cancellationToken);

    /// <summary>Has the device raise an interrupt with a cause of the caller's, and acknowledges it.</summary>
    /// <param name="cause">Bits to raise, not 0.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>The causes that the device showed.</returns>
    public async Task<uint> RaiseInterruptAsync(uint cause, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfZero(cause);
        Registers.Write32(EduRegister.InterruptRaise, cause);
        return await WaitAsync(cause, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Allocates memory that the device can reach: below its 28 address bits.</summary>
    /// <param name="length">Length in bytes.</param>
    /// <returns>The buffer; the caller disposes it before the driver.</returns>
    public DmaBuffer AllocateDma(nuint length) => _connection.AllocateDma(length, DmaAccess.ReadWrite);

    /// <summary>Maps a page of memory where the device can reach it.</summary>
    /// <param name="memory">The memory.</param>
    /// <param name="offset">Where the page starts in it, in bytes.</param>
    /// <param name="iova">The address for the device, below 2²⁸; null to have one chosen.</param>
    /// <returns>The mapping; the caller disposes it before the driver.</returns>
    public DmaMapping MapPage(DmaMemory memory, nuint offset, ulong? iova = null) => _connection.MapDma(memory, offset, 4096, DmaAccess.ReadWrite, iova);

    /// <summary>Turns the interrupt off and releases the device.</summary>
    /// <returns>A task that completes when the device is released.</returns>
    public ValueTask DisposeAsync()
    {
        _interrupts.Dispose();
        return _connection.DisposeAsync();
    }

    private async Task TransferAsync(ulong source, ulong destination, int length, uint command, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)length, (uint)BufferSize, nameof(length));
        Registers.Write64(EduRegister.DmaSource, source);
        Registers.Write64(EduRegister.DmaDestination, destination);
        Registers.Write64(EduRegister.DmaCount, (ulong)length);
        Registers.Write64(EduRegister.DmaCommand, command);
        await WaitAsync(EduRegister.DmaDone, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Waits until a cause is shown, acknowledges everything shown, and lets the next interrupt come.</summary>
    private async Task<uint> WaitAsync(uint cause, CancellationToken cancellationToken)
    {
        while (true)
        {
            await _interrupts[0].WaitAsync(cancellationToken).ConfigureAwait(false);
            uint causes = Registers.Read32(EduRegister.InterruptStatus);
            Registers.Write32(EduRegister.InterruptAcknowledge, causes);
            if (_interrupts.Index == PciInterrupt.Intx)
            {
                _interrupts.Unmask();
            }

            if ((causes & cause) != 0)
            {
                return causes;
            }
        }
    }
}

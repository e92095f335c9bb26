using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio;

/// <summary>
/// A user's connection to one device, whichever way it is reached: what <c>DbConnection</c> is to a database. A driver written on it
/// runs on an emulated device in this process, on a server across a socket, and on hardware.
/// </summary>
/// <remarks>
/// <para>
/// Register access is synchronous and ordered: when a read returns, all earlier accesses of the same thread have taken effect.
/// Members may be called from several threads.
/// </para>
/// <para>
/// Dispose releases the device: interrupts end, DMA buffers are unmapped (their memory is freed by their own <c>Dispose</c>).
/// </para>
/// </remarks>
public abstract partial class VfioConnection : IAsyncDisposable, IDisposable
{
    private readonly Lazy<EventLoop> _eventLoop = new(static () => new EventLoop());
    private readonly Lock _keptLock = new();
    private RegionDescription[] _regions = [];
    private IrqInfo[] _irqs = [];
    private List<MemoryMapping>? _kept = [];

    /// <summary>Starts a connection; the derived class calls <see cref="Describe"/> once it can answer.</summary>
    /// <param name="address">The address that was opened.</param>
    protected VfioConnection(string address)
    {
        Address = address;
    }

    /// <summary>The address that was opened.</summary>
    public string Address { get; }

    /// <summary>What the device is.</summary>
    public DeviceInfo Info { get; private set; }

    /// <summary>The regions, by index; those that do not exist have size 0.</summary>
    public IReadOnlyList<RegionDescription> Regions => _regions;

    /// <summary>The interrupt indices; those that do not exist have count 0.</summary>
    public IReadOnlyList<IrqInfo> Irqs => _irqs;

    /// <summary>The loop on which interrupts are awaited; its thread starts at first use.</summary>
    internal EventLoop EventLoop => _eventLoop.Value;

    /// <summary>Whether DMA goes through an IOMMU of hardware, which translates huge pages faster.</summary>
    protected virtual bool HasHardwareDma => false;

    /// <summary>A region to read and write.</summary>
    /// <param name="index">The region index.</param>
    /// <returns>The region; accesses to one that does not exist fail.</returns>
    public VfioRegion Region(PciRegion index) => new(this, (uint)index);

    /// <summary>A base address register's region.</summary>
    /// <param name="number">0 to 5.</param>
    /// <returns>The region.</returns>
    public VfioRegion Bar(int number)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)number, 5u, nameof(number));
        return new VfioRegion(this, (uint)number);
    }

    /// <summary>Configuration space.</summary>
    public VfioRegion Config => Region(PciRegion.Config);

    /// <summary>Reads a region, and reports failure as a value.</summary>
    /// <param name="region">The region index.</param>
    /// <param name="offset">Offset in bytes.</param>
    /// <param name="buffer">Receives the bytes; 1, 2, 4 and 8 are one access of that width.</param>
    /// <returns><see cref="Errno.None"/> when all bytes were read, or an errno.</returns>
    public abstract Errno TryRead(uint region, ulong offset, Span<byte> buffer);

    /// <summary>Writes a region, and reports failure as a value.</summary>
    /// <param name="region">The region index.</param>
    /// <param name="offset">Offset in bytes.</param>
    /// <param name="buffer">The bytes; 1, 2, 4 and 8 are one access of that width.</param>
    /// <returns><see cref="Errno.None"/> when all bytes were written, or an errno.</returns>
    public abstract Errno TryWrite(uint region, ulong offset, ReadOnlySpan<byte> buffer);

    /// <summary>Maps a part of a region into this process.</summary>
    /// <param name="region">The region index.</param>
    /// <param name="offset">Offset in bytes, page aligned.</param>
    /// <param name="length">Length in bytes.</param>
    /// <returns>The mapping; the caller disposes it.</returns>
    /// <exception cref="VfioException">EINVAL: the part is not inside one of the region's <see cref="RegionDescription.MappableAreas"/>.</exception>
    public MemoryMapping Map(PciRegion region, ulong offset, ulong length)
    {
        string operation = $"map 0x{length:x} bytes at 0x{offset:x} of {region} of {Address}";
        RegionDescription description = _regions[(int)region];
        if (!description.CanMap(offset, length))
        {
            string areas = string.Join(", ", description.MappableAreas.Select(static area => $"[0x{area.Offset:x}, 0x{area.Offset + area.Size:x})"));
            throw new VfioException(Errno.EINVAL, operation, areas.Length == 0 ? "The region cannot be mapped." : $"It can be mapped in {areas}.");
        }

        VfioException.ThrowIfError(MapRegion((uint)region, offset, length, out MemoryMapping? mapping), operation);
        return mapping!;
    }

    /// <summary>Allocates memory and maps it for the device's DMA.</summary>
    /// <param name="length">Length in bytes; rounded up to pages.</param>
    /// <param name="access">What the device may do.</param>
    /// <param name="iova">The address for the device, page aligned; null to have one chosen.</param>
    /// <returns>The buffer; the caller disposes it.</returns>
    /// <exception cref="VfioException">The address is taken or out of reach, or a limit was met.</exception>
    public DmaBuffer AllocateDma(nuint length, DmaAccess access = DmaAccess.ReadWrite, ulong? iova = null)
    {
        DmaMemory memory = DmaMemory.Allocate(length, HasHardwareDma);
        try
        {
            return new DmaBuffer(memory, MapDma(memory, access, iova));
        }
        catch
        {
            memory.Dispose();
            throw;
        }
    }

    /// <summary>Maps memory for the device's DMA.</summary>
    /// <param name="memory">The memory. It may be mapped for other devices and at other addresses as well.</param>
    /// <param name="access">What the device may do.</param>
    /// <param name="iova">The address for the device, page aligned; null to have one chosen.</param>
    /// <returns>The mapping; the caller disposes it.</returns>
    /// <exception cref="VfioException">The address is taken or out of reach, or a limit was met.</exception>
    public DmaMapping MapDma(DmaMemory memory, DmaAccess access = DmaAccess.ReadWrite, ulong? iova = null)
    {
        ArgumentNullException.ThrowIfNull(memory);
        return MapDma(memory, 0, memory.Length, access, iova);
    }

    /// <summary>Maps a part of memory for the device's DMA.</summary>
    /// <param name="memory">The memory.</param>
    /// <param name="offset">Where the part starts, in bytes; a multiple of its pages.</param>
    /// <param name="length">The part's length in bytes, likewise.</param>
    /// <param name="access">What the device may do.</param>
    /// <param name="iova">The address for the device, page aligned; null to have one chosen.</param>
    /// <returns>The mapping; the caller disposes it.</returns>
    /// <exception cref="VfioException">The address is taken or out of reach, or a limit was met.</exception>
    public DmaMapping MapDma(DmaMemory memory, nuint offset, nuint length, DmaAccess access = DmaAccess.ReadWrite, ulong? iova = null)
    {
        ArgumentNullException.ThrowIfNull(memory);
        ArgumentOutOfRangeException.ThrowIfZero(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, memory.Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, memory.Length - offset);
        string operation = $"map {length} bytes for DMA of {Address}";
        if (offset % memory.PageSize != 0 || length % memory.PageSize != 0)
        {
            throw new VfioException(Errno.EINVAL, operation, $"Parts of this memory start and end at multiples of {memory.PageSize} bytes.");
        }

        // The mapping holds the memory, so that disposing that one first does not take it from under the device.
        bool held = false;
        memory.Mapping.DangerousAddRef(ref held);
        try
        {
            VfioException.ThrowIfError(
                MapDma(memory, offset, length, access, iova, out ulong chosen),
                operation,
                iova is null ? null : $"Address 0x{iova:x} must be page aligned and free.");
            _ = IovaRange.TryCreate(chosen, length, out IovaRange range);
            DmaMapping mapping = new(this, memory.Mapping, range, access);
            held = false;
            return mapping;
        }
        finally
        {
            if (held)
            {
                memory.Mapping.DangerousRelease();
            }
        }
    }

    /// <summary>Turns on interrupts of an index.</summary>
    /// <param name="index">The index.</param>
    /// <param name="count">How many vectors, from 0.</param>
    /// <returns>The vectors, to be awaited; disposing turns the index off.</returns>
    /// <exception cref="VfioException">The device has fewer vectors, or another index of INTx, MSI and MSI-X is on.</exception>
    public InterruptSet EnableInterrupts(PciInterrupt index, int count = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        return InterruptSet.Enable(this, index, count);
    }

    /// <summary>Sets the eventfds of interrupts, masks, unmasks or triggers them.</summary>
    /// <param name="index">The interrupt index.</param>
    /// <param name="flags">One data flag and one action flag.</param>
    /// <param name="start">First interrupt.</param>
    /// <param name="count">How many.</param>
    /// <param name="eventFds">With <see cref="IrqSetFlags.DataEventFd"/>: one descriptor each, or none at all to take them away.</param>
    /// <param name="bools">With <see cref="IrqSetFlags.DataBool"/>: one byte each.</param>
    /// <returns>0 or more, or an errno.</returns>
    public abstract IoResult TrySetIrqs(
        PciInterrupt index,
        IrqSetFlags flags,
        uint start,
        uint count,
        ReadOnlySpan<FileDescriptor> eventFds = default,
        ReadOnlySpan<byte> bools = default);

    /// <summary>What the device can do in migration.</summary>
    /// <param name="flags">Its abilities.</param>
    /// <returns><see cref="Errno.None"/>, or an errno when it cannot migrate.</returns>
    public abstract Errno TryGetMigrationFlags(out MigrationFlags flags);

    /// <summary>Tells the migration state.</summary>
    /// <param name="state">The state.</param>
    /// <returns><see cref="Errno.None"/>, or an errno.</returns>
    public abstract Errno TryGetMigrationState(out MigrationState state);

    /// <summary>Changes the migration state.</summary>
    /// <param name="target">The state wanted.</param>
    /// <returns><see cref="Errno.None"/>, or an errno.</returns>
    public abstract Errno TrySetMigrationState(MigrationState target);

    /// <summary>Reads from the open migration session.</summary>
    /// <param name="buffer">Receives the data.</param>
    /// <returns>The number of bytes, fewer than asked when there is no more now, or an errno.</returns>
    public abstract IoResult TryReadMigrationData(Span<byte> buffer);

    /// <summary>Writes to the open migration session.</summary>
    /// <param name="data">The data.</param>
    /// <returns>The number of bytes taken, or an errno.</returns>
    public abstract IoResult TryWriteMigrationData(ReadOnlySpan<byte> data);

    /// <summary>Starts dirty page logging.</summary>
    /// <param name="ranges">The ranges; none means everything.</param>
    /// <param name="pageSize">In: the unit wanted. Out: the unit used.</param>
    /// <returns><see cref="Errno.None"/>, or an errno.</returns>
    public abstract Errno TryStartDirtyLog(ReadOnlySpan<IovaRange> ranges, ref ulong pageSize);

    /// <summary>Stops dirty page logging.</summary>
    /// <returns><see cref="Errno.None"/>, or an errno.</returns>
    public abstract Errno TryStopDirtyLog();

    /// <summary>Reports and clears dirty pages.</summary>
    /// <param name="range">The range.</param>
    /// <param name="pageSize">Bytes that one bit stands for.</param>
    /// <param name="bitmap">Receives 64-bit words, least significant bit first; at least one bit for each page.</param>
    /// <returns><see cref="Errno.None"/>, or an errno.</returns>
    public abstract Errno TryReadDirtyLog(IovaRange range, ulong pageSize, Span<ulong> bitmap);

    /// <summary>Releases the device.</summary>
    public void Dispose()
    {
        EndNotices();
        Dispose(true);
        ReleaseKept();
        GC.SuppressFinalize(this);
    }

    /// <summary>Releases the device.</summary>
    /// <returns>A completed task.</returns>
    public ValueTask DisposeAsync()
    {
        Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>Takes over the hold on memory that could not be unmapped: nothing reaches it any more when the connection has ended.</summary>
    internal void KeepUntilEnd(MemoryMapping memory)
    {
        lock (_keptLock)
        {
            if (_kept is not null)
            {
                _kept.Add(memory);
                return;
            }
        }

        memory.DangerousRelease();
    }

    /// <summary>Asks the device what it is, once, when the connection can answer.</summary>
    /// <exception cref="VfioException">The device did not answer, or described itself beyond all bounds.</exception>
    protected void Describe()
    {
        const uint MaximumRegions = 100;
        const uint MaximumIrqs = 50;
        VfioException.ThrowIfError(GetDeviceInfo(out DeviceInfo info), $"ask {Address} what it is");
        if (info.RegionCount > MaximumRegions || info.IrqCount > MaximumIrqs)
        {
            throw new VfioException(
                Errno.EPROTO,
                $"open {Address}",
                $"It claims {info.RegionCount} regions and {info.IrqCount} interrupt kinds; at most {MaximumRegions} and {MaximumIrqs} are believed.");
        }

        RegionDescription[] regions = new RegionDescription[info.RegionCount];
        for (uint i = 0; i < info.RegionCount; i++)
        {
            Errno error = GetRegionDescription(i, out RegionDescription? region);
            if (error == Errno.EINVAL && region is null)
            {
                // A region that the device does not have, such as VGA on vfio-pci.
                error = RegionDescription.TryParse(new RegionInfo { Index = i }, [], 0, out region);
            }

            VfioException.ThrowIfError(error, $"ask {Address} about region {i}");
            regions[i] = region!;
        }

        IrqInfo[] irqs = new IrqInfo[info.IrqCount];
        for (uint i = 0; i < info.IrqCount; i++)
        {
            VfioException.ThrowIfError(GetIrqInfo(i, out irqs[i]), $"ask {Address} about interrupt {i}");
        }

        Info = info;
        _regions = regions;
        _irqs = irqs;
    }

    /// <summary>Whether an access lies in a region, whatever its numbers.</summary>
    /// <param name="region">Index of the region.</param>
    /// <param name="offset">Where it starts there, in bytes.</param>
    /// <param name="length">Its length in bytes.</param>
    protected bool IsInside(uint region, ulong offset, int length)
        => region < (uint)_regions.Length && offset <= _regions[region].Size && (ulong)length <= _regions[region].Size - offset;

    /// <summary>Asks for the device's information.</summary>
    /// <param name="info">The information.</param>
    /// <returns><see cref="Errno.None"/>, or an errno.</returns>
    protected abstract Errno GetDeviceInfo(out DeviceInfo info);

    /// <summary>Asks about a region.</summary>
    /// <param name="index">Its index.</param>
    /// <param name="description">The answer.</param>
    /// <returns><see cref="Errno.None"/>, or an errno.</returns>
    protected abstract Errno GetRegionDescription(uint index, out RegionDescription? description);

    /// <summary>Asks about an interrupt index.</summary>
    /// <param name="index">The index.</param>
    /// <param name="info">The answer.</param>
    /// <returns><see cref="Errno.None"/>, or an errno.</returns>
    protected abstract Errno GetIrqInfo(uint index, out IrqInfo info);

    /// <summary>Maps a part of a region that lies inside a mappable area.</summary>
    /// <param name="region">The region index.</param>
    /// <param name="offset">Offset in bytes.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="mapping">The mapping, owned by the caller.</param>
    /// <returns><see cref="Errno.None"/>, or an errno.</returns>
    protected abstract Errno MapRegion(uint region, ulong offset, ulong length, out MemoryMapping? mapping);

    /// <summary>Maps memory for the device's DMA.</summary>
    /// <param name="memory">The memory; it stays until <see cref="UnmapDma"/>.</param>
    /// <param name="offset">Where the part starts, in bytes; page aligned and inside.</param>
    /// <param name="length">The part's length in bytes, likewise.</param>
    /// <param name="access">What the device may do.</param>
    /// <param name="iova">The address wanted, or null.</param>
    /// <param name="chosen">The address.</param>
    /// <returns><see cref="Errno.None"/>, or an errno.</returns>
    protected abstract Errno MapDma(DmaMemory memory, ulong offset, ulong length, DmaAccess access, ulong? iova, out ulong chosen);

    /// <summary>Unmaps memory. On return the device does not touch it any more.</summary>
    /// <param name="iova">The address.</param>
    /// <param name="length">The length that was mapped.</param>
    /// <returns><see cref="Errno.None"/>, or an errno.</returns>
    protected internal abstract Errno UnmapDma(ulong iova, ulong length);

    /// <summary>Releases what the connection holds.</summary>
    /// <param name="disposing">Always true: there is no finalizer.</param>
    protected virtual void Dispose(bool disposing)
    {
        if (disposing && _eventLoop.IsValueCreated)
        {
            _eventLoop.Value.Dispose();
        }
    }

    private void ReleaseKept()
    {
        List<MemoryMapping>? kept;
        lock (_keptLock)
        {
            (kept, _kept) = (_kept, null);
        }

        kept?.ForEach(static memory => memory.DangerousRelease());
    }
}

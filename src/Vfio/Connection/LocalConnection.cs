using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio;

/// <summary>A connection to a device of a host in this process, through the same files that everybody uses.</summary>
public sealed class LocalConnection : VfioConnection
{
    private readonly VfioDeviceFile _file;
    private readonly IommufdContext _context;
    private readonly Ioas _ioas;
    private MigrationDataFile? _migrationData;
    private int _disposed;

    private LocalConnection(string name, VfioDeviceFile file, IommufdContext context, Ioas ioas)
        : base($"local:{name}")
    {
        _file = file;
        _context = context;
        _ioas = ioas;
    }

    /// <summary>The open device file, for what only the core's own interface offers.</summary>
    public VfioDeviceFile File => _file;

    /// <summary>The address space that the device's DMA is attached to.</summary>
    public Ioas AddressSpace => _ioas;

    /// <summary>Opens a device, binds it to a context of its own and attaches it to an empty address space.</summary>
    /// <param name="host">The host.</param>
    /// <param name="name">The device's name or node name.</param>
    /// <param name="token">What users of a physical function and of its virtual functions have in common (a VF token); null for none.</param>
    /// <returns>The connection.</returns>
    /// <exception cref="VfioException">There is no such device, or it is in use.</exception>
    public static LocalConnection Open(VfioHost host, string name, Guid? token = null)
    {
        string operation = $"open local:{name}";
        Errno error = host.TryOpenDevice(name, out VfioDeviceFile? file);
        if (error != Errno.None)
        {
            string names = string.Join(", ", host.Devices.Select(static device => device.Name));
            throw new VfioException(error, operation, names.Length == 0 ? "The host has no devices." : $"The host has {names}.");
        }

        IommufdContext context = new(host.Options.IommufdLimits);
        try
        {
            VfioException.ThrowIfError(context.AllocateIoas(out Ioas? ioas), operation);
            VfioException.ThrowIfError(file!.Bind(context, out _, token), operation, "A device has one user at a time: close the other connection first.");
            uint id = ioas!.Id;
            VfioException.ThrowIfError(file.Attach(ref id), operation);
            LocalConnection connection = new(name, file, context, ioas);
            connection.Describe();
            return connection;
        }
        catch
        {
            file!.Dispose();
            context.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override Errno TryRead(uint region, ulong offset, Span<byte> buffer)
    {
        if (!IsInside(region, offset, buffer.Length))
        {
            return Errno.EINVAL;
        }

        IoResult result = _file.Read(buffer, Regions[(int)region].Info.Position + offset);
        return result.IsError ? result.Error : result.Value == buffer.Length ? Errno.None : Errno.EIO;
    }

    /// <inheritdoc/>
    public override Errno TryWrite(uint region, ulong offset, ReadOnlySpan<byte> buffer)
    {
        if (!IsInside(region, offset, buffer.Length))
        {
            return Errno.EINVAL;
        }

        IoResult result = _file.Write(buffer, Regions[(int)region].Info.Position + offset);
        return result.IsError ? result.Error : result.Value == buffer.Length ? Errno.None : Errno.EIO;
    }

    /// <inheritdoc/>
    public override Errno TryReset() => _file.Reset();

    /// <inheritdoc/>
    public override IoResult TrySetIrqs(
        PciInterrupt index,
        IrqSetFlags flags,
        uint start,
        uint count,
        ReadOnlySpan<FileDescriptor> eventFds = default,
        ReadOnlySpan<byte> bools = default)
    {
        if ((flags & IrqSetFlags.DataEventFd) == 0)
        {
            return _file.SetIrqs((uint)index, flags, start, count, bools, null);
        }

        if (!eventFds.IsEmpty && (uint)eventFds.Length != count)
        {
            return Errno.EINVAL;
        }

        FileDescriptor?[] descriptors = new FileDescriptor?[count];
        eventFds.CopyTo(descriptors!);
        return _file.SetIrqEventFds((uint)index, flags & IrqSetFlags.ActionMaskAll, start, descriptors);
    }

    /// <inheritdoc/>
    public override Errno TryGetMigrationFlags(out MigrationFlags flags) => _file.GetMigrationFlags(out flags);

    /// <inheritdoc/>
    public override Errno TryGetMigrationState(out MigrationState state) => _file.GetMigrationState(out state);

    /// <inheritdoc/>
    public override Errno TrySetMigrationState(MigrationState target)
    {
        Errno error = _file.SetMigrationState(target, out MigrationDataFile? opened);
        if (opened is not null)
        {
            _migrationData = opened;
        }

        return error;
    }

    /// <inheritdoc/>
    public override IoResult TryReadMigrationData(Span<byte> buffer)
    {
        int done = 0;
        while (done < buffer.Length)
        {
            IoResult result = _migrationData?.Read(buffer[done..]) ?? Errno.EINVAL;
            if (result.IsError)
            {
                return result.Error == Errno.ENOMSG ? IoResult.Success(done) : result;
            }

            if (result.Value == 0)
            {
                break;
            }

            done += result.Count;
        }

        return IoResult.Success(done);
    }

    /// <inheritdoc/>
    public override IoResult TryWriteMigrationData(ReadOnlySpan<byte> data) => _migrationData?.Write(data) ?? Errno.EINVAL;

    /// <inheritdoc/>
    public override Errno TryStartDirtyLog(ReadOnlySpan<IovaRange> ranges, ref ulong pageSize) => _file.StartDirtyLog(ranges, ref pageSize);

    /// <inheritdoc/>
    public override Errno TryStopDirtyLog() => _file.StopDirtyLog();

    /// <inheritdoc/>
    public override Errno TryReadDirtyLog(IovaRange range, ulong pageSize, Span<ulong> bitmap)
    {
        Errno error = DirtyBitmap.TryCreate(range, pageSize, (ulong)bitmap.Length * sizeof(ulong), out DirtyBitmap? dirty);
        if (error == Errno.None)
        {
            error = _file.ReadDirtyLog(range, dirty!);
        }

        if (error == Errno.None)
        {
            dirty!.Words.CopyTo(bitmap);
        }

        return error;
    }

    /// <inheritdoc/>
    protected override Errno GetDeviceInfo(out DeviceInfo info) => _file.GetInfo(out info);

    /// <inheritdoc/>
    protected override Errno GetRegionDescription(uint index, out RegionDescription? description)
    {
        description = null;
        CapabilityChain chain = new();
        Errno error = _file.GetRegionInfo(index, out RegionInfo info, chain);
        if (error != Errno.None)
        {
            return error;
        }

        // The same form as an INFO structure has, so that one parser serves every transport.
        byte[] structure = new byte[32 + chain.Length];
        chain.CopyTo(structure.AsSpan(32), 32);
        return RegionDescription.TryParse(info, structure, chain.Length > 0 ? 32u : 0, out description);
    }

    /// <inheritdoc/>
    protected override Errno GetIrqInfo(uint index, out IrqInfo info) => _file.GetIrqInfo(index, out info);

    /// <inheritdoc/>
    protected override Errno MapRegion(uint region, ulong offset, ulong length, out MemoryMapping? mapping)
    {
        mapping = null;
        MapRequest request = new(Regions[(int)region].Info.Position + offset, length, MemoryProtection.ReadWrite);
        Errno error = _file.Map(in request, out MappableMemory memory);
        return error != Errno.None
            ? error
            : MemoryMapping.TryMap(memory.Descriptor, memory.Offset, (nuint)length, MemoryProtection.ReadWrite, out mapping);
    }

    /// <inheritdoc/>
    protected override Errno MapDma(DmaMemory memory, ulong offset, ulong length, DmaAccess access, ulong? iova, out ulong chosen)
    {
        MappedMemorySource source = new(memory.Mapping, offset, length, writable: true, ownsMapping: false);
        Errno error;
        if (iova is { } wanted)
        {
            chosen = wanted;
            error = _ioas.MapFixed(wanted, length, source, 0, access);
        }
        else
        {
            error = _ioas.MapAnywhere(0, length, source, 0, access, out chosen);
        }

        source.RemoveReference();
        return error;
    }

    /// <inheritdoc/>
    protected internal override Errno UnmapDma(ulong iova, ulong length)
        => IovaRange.TryCreate(iova, length, out IovaRange range) ? _ioas.Unmap(range, out _) : Errno.EINVAL;

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing && Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            _file.Dispose();
            _context.Dispose();
        }

        base.Dispose(disposing);
    }
}

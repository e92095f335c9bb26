using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.User;

/// <summary>
/// A device of a vfio-user server, offered at this host to whoever uses its devices: programs under <c>vfio run</c>, drivers, another server. Every callback becomes the
/// message that it corresponds to.
/// </summary>
/// <remarks>
/// <para>
/// The server has this host as its client for as long as the device is open, from <c>open_device</c> to <c>close_device</c>; in between others may use it. What is told while it is
/// closed, its configuration space, is what it was when the device was made.
/// </para>
/// <para>
/// The server's DMA comes by messages and goes through the page table that the user attached the device to, up to 2^48; no memory is shared. Interrupts do not come this
/// way: the user's own eventfds are handed on to the server. Migration and dirty page logging are not handed on.
/// </para>
/// </remarks>
public sealed partial class VfioUserDevice : VfioDevice, IPciFunction
{
    /// <summary>As much as a server takes in one piece (libvfio-user: 8 TiB).</summary>
    private const ulong PieceSize = 8UL << 40;
    private const ulong SpaceSize = 1UL << 48;
    private readonly string _path;
    private readonly VfioUserClientOptions? _options;
    private readonly byte[] _config;
    private VfioUserConnection? _connection;
    private CancellationTokenRegistration _closed;
    private ILogger _logger = NullLogger.Instance;

    private VfioUserDevice(string path, VfioUserClientOptions? options, byte[] config)
    {
        _path = path;
        _options = options;
        _config = config;
    }

    /// <inheritdoc/>
    public int ConfigLength => _config.Length;

    /// <summary>Looks a served device up and makes one that stands for it. For the function that <see cref="VfioHost.Allocate{T}"/> is given.</summary>
    /// <param name="path">The server's socket.</param>
    /// <param name="options">How the server is treated; null for the defaults.</param>
    /// <returns>The device.</returns>
    /// <exception cref="VfioException">Nobody serves there, or no PCI device.</exception>
    public static VfioUserDevice Create(string path, VfioUserClientOptions? options = null)
    {
        using VfioUserConnection connection = VfioUserConnection.Connect(path, options);
        if ((connection.Info.Flags & DeviceFlags.Pci) == 0)
        {
            throw new VfioException(Errno.ENODEV, $"use the device at unix:{path}", "It is no PCI device.");
        }

        byte[] config = new byte[Math.Min(connection.Config.Size, 4096)];
        connection.Config.Read(0, config);
        return new VfioUserDevice(path, options, config);
    }

    /// <inheritdoc/>
    public Errno ReadConfig(int offset, Span<byte> destination)
    {
        if (offset < 0 || offset > _config.Length || destination.Length > _config.Length - offset)
        {
            return Errno.EINVAL;
        }

        // It may be closed at any moment, and is then as it was.
        if (Volatile.Read(ref _connection) is not { } connection || connection.TryRead((uint)PciRegion.Config, (ulong)offset, destination) != Errno.None)
        {
            _config.AsSpan(offset, destination.Length).CopyTo(destination);
        }

        return Errno.None;
    }

    /// <inheritdoc/>
    protected override Errno OnInitialize()
    {
        _logger = Host.Options.LoggerFactory.CreateLogger("Vfio.User.Device");
        return Errno.None;
    }

    /// <inheritdoc/>
    [SuppressMessage("Reliability", "CA2000:Dispose objects before losing scope", Justification = "Kept until the device is closed, or disposed at once.")]
    protected override Errno OnOpen()
    {
        VfioUserConnection? connection = null;
        try
        {
            connection = VfioUserConnection.Connect(_path, _options);
            Errno error = OfferMemory(connection);
            if (error != Errno.None)
            {
                connection.Dispose();
                return error;
            }
        }
        catch (VfioException exception)
        {
            connection?.Dispose();
            LogNotOpened(Name, exception.Message);
            return exception.Errno;
        }

        Volatile.Write(ref _connection, connection);
        _closed = connection.ConnectionClosed.UnsafeRegister(
            static state =>
            {
                var device = (VfioUserDevice)state!;
                if (Volatile.Read(ref device._connection) is not null)
                {
                    device.LogGone(device.Name, device._path);
                }
            },
            this);
        return Errno.None;
    }

    /// <inheritdoc/>
    protected override void OnClose()
    {
        VfioUserConnection? connection = Interlocked.Exchange(ref _connection, null);
        _closed.Dispose();
        connection?.Dispose();
    }

    /// <inheritdoc/>
    protected override IoResult Read(Span<byte> buffer, ulong position)
    {
        if (!TryLocate(position, buffer.Length, out VfioUserConnection? connection, out uint region, out ulong offset, out int length))
        {
            return Errno.EINVAL;
        }

        Errno error = connection.TryRead(region, offset, buffer[..length]);
        return error == Errno.None ? IoResult.Success(length) : error;
    }

    /// <inheritdoc/>
    protected override IoResult Write(ReadOnlySpan<byte> buffer, ulong position)
    {
        if (!TryLocate(position, buffer.Length, out VfioUserConnection? connection, out uint region, out ulong offset, out int length))
        {
            return Errno.EINVAL;
        }

        Errno error = connection.TryWrite(region, offset, buffer[..length]);
        return error == Errno.None ? IoResult.Success(length) : error;
    }

    /// <inheritdoc/>
    protected override Errno GetRegionInfo(ref RegionInfo info, CapabilityChain capabilities)
    {
        ArgumentNullException.ThrowIfNull(capabilities);
        if (_connection is not { } connection || info.Index >= connection.Regions.Count)
        {
            return Errno.EINVAL;
        }

        RegionDescription region = connection.Regions[(int)info.Index];
        info.Size = region.Size;
        info.Flags = region.Info.Flags & ~RegionFlags.Capabilities;
        info.Position = PciLayout.Position(info.Index);
        if (region.HasSparseAreas && (info.Flags & RegionFlags.Map) != 0)
        {
            capabilities.AddSparseMap([.. region.MappableAreas]);
        }

        if (region.IsMsixMappable)
        {
            capabilities.Add((ushort)VfioUapi.VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, 1, default);
        }

        return Errno.None;
    }

    /// <inheritdoc/>
    protected override Errno Map(in MapRequest request, out MappableMemory memory)
    {
        memory = default;
        uint index = PciLayout.Region(request.Position);
        ulong offset = PciLayout.Offset(request.Position);
        if (_connection is not { } connection || !request.Shared || request.Length == 0 || index >= connection.Regions.Count
            || !connection.Regions[(int)index].CanMap(offset, request.Length)
            || !connection.TryGetRegionMemory(index, out FileDescriptor? descriptor, out ulong start))
        {
            return Errno.EINVAL;
        }

        memory = new MappableMemory(descriptor, start + offset, request.Length);
        return Errno.None;
    }

    /// <inheritdoc/>
    protected override IoResult Ioctl(uint command, UserArgument argument)
    {
        return _connection is not { } connection ? Errno.EINVAL : command switch
        {
            VfioUapi.VFIO_DEVICE_GET_INFO => (connection.Info with { Flags = connection.Info.Flags & (DeviceFlags.Pci | DeviceFlags.Reset) }).AnswerTo(argument),
            VfioUapi.VFIO_DEVICE_GET_IRQ_INFO => IrqInfo.Answer(argument, (uint)connection.Irqs.Count, index => connection.Irqs[(int)index]),
            VfioUapi.VFIO_DEVICE_SET_IRQS => SetIrqs(connection, argument),
            VfioUapi.VFIO_DEVICE_RESET => (connection.Info.Flags & DeviceFlags.Reset) != 0 ? connection.TryReset() : Errno.EINVAL,
            _ => Errno.ENOTTY,
        };
    }

    private static IoResult SetIrqs(VfioUserConnection connection, UserArgument argument)
    {
        Span<uint> counts = stackalloc uint[connection.Irqs.Count];
        for (int i = 0; i < counts.Length; i++)
        {
            // What a server claims is not what is believed: MSI-X has no more.
            counts[i] = Math.Min(connection.Irqs[i].Count, 2048);
        }

        Errno error = IrqSetRequest.TryRead(argument, counts, out IrqSetRequest request);
        if (error != Errno.None)
        {
            return error;
        }

        int[] values = new int[request.Count];
        error = request.ReadData(argument, values);
        if (error != Errno.None)
        {
            return error;
        }

        return request.Data switch
        {
            IrqSetFlags.DataEventFd => SetEventFds(connection, request, values, argument.Files),
            IrqSetFlags.DataBool => connection.TrySetIrqs(
                (PciInterrupt)request.Index, request.Flags, request.Start, request.Count, default, Array.ConvertAll(values, static value => (byte)value)),
            _ => connection.TrySetIrqs((PciInterrupt)request.Index, request.Flags, request.Start, request.Count),
        };
    }

    /// <summary>Hands eventfds on. A message has all of its range or none, so that each stretch of either kind is one.</summary>
    private static IoResult SetEventFds(VfioUserConnection connection, IrqSetRequest request, ReadOnlySpan<int> numbers, FileTable? files)
    {
        FileDescriptor[] descriptors = new FileDescriptor[numbers.Length];
        for (int i = 0; i < numbers.Length; i++)
        {
            if (numbers[i] == -1)
            {
                continue;
            }

            if (files is null || files.TryGet(numbers[i], out object? file) != Errno.None)
            {
                return Errno.EBADF;
            }

            if (file is not FileDescriptor descriptor || !descriptor.IsEventFd())
            {
                return Errno.EINVAL;
            }

            descriptors[i] = descriptor;
        }

        IoResult result = IoResult.Success();
        for (int start = 0, end; start < numbers.Length && !result.IsError; start = end)
        {
            bool given = numbers[start] != -1;
            for (end = start + 1; end < numbers.Length && numbers[end] != -1 == given;)
            {
                end++;
            }

            result = connection.TrySetIrqs(
                (PciInterrupt)request.Index, request.Flags, request.Start + (uint)start, (uint)(end - start), given ? descriptors.AsSpan(start, end - start) : default);
        }

        return result;
    }

    private bool TryLocate(ulong position, int wanted, [NotNullWhen(true)] out VfioUserConnection? connection, out uint region, out ulong offset, out int length)
    {
        connection = _connection;
        region = PciLayout.Region(position);
        offset = PciLayout.Offset(position);
        length = 0;
        if (connection is null || region >= (uint)connection.Regions.Count || offset >= connection.Regions[(int)region].Size)
        {
            return false;
        }

        length = (int)Math.Min((ulong)wanted, connection.Regions[(int)region].Size - offset);
        return true;
    }

    /// <summary>Gives the server the whole space of addresses; which of them are memory is found out with each transfer.</summary>
    private Errno OfferMemory(VfioUserConnection connection)
    {
        for (ulong start = 0; start < SpaceSize; start += PieceSize)
        {
            RelayedMemory source = new(Dma, start, PieceSize);
            Errno error = connection.OfferMemory(start, source);
            source.RemoveReference();
            if (error != Errno.None)
            {
                return error;
            }
        }

        return Errno.None;
    }

    [LoggerMessage(1, LogLevel.Error, "{Device} can't be opened: {Why}")]
    private partial void LogNotOpened(string device, string why);

    [LoggerMessage(2, LogLevel.Warning, "{Device}: the server of {Path} has gone; the device answers nothing any more, until it is opened again")]
    private partial void LogGone(string device, string path);

    /// <summary>What the device's user has mapped, as the server's requests find it.</summary>
    private sealed class RelayedMemory(DmaSpace space, ulong address, ulong length) : MemorySource
    {
        public override ulong Length => length;

        public override bool IsWritable => true;

        public override string Kind => "relayed";

        public override Errno Read(ulong offset, Span<byte> destination) => space.Read(address + offset, destination);

        public override Errno Write(ulong offset, ReadOnlySpan<byte> source) => space.Write(address + offset, source);

        protected override void Release()
        {
        }
    }
}

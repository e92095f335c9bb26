using Microsoft.Extensions.Logging;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio;

/// <summary>
/// One "kernel's worth" of VFIO: the devices that bus drivers registered, and the way to open them. A process may hold many; they
/// share nothing.
/// </summary>
/// <remarks>
/// Lock order: the registry lock is a leaf: no other lock of the core is taken and no callback runs under it. The order of the others is
/// told by <see cref="VfioGroup"/>.
/// Dispose the host last: it unregisters what is still registered, and so waits for users.
/// </remarks>
public sealed partial class VfioHost : IAsyncDisposable
{
    private const int MaximumIndex = (1 << 20) - 1;
    private static readonly SimulatedIommu s_defaultHardware = new();
    private readonly Lock _registryLock = new();
    private readonly SortedSet<int> _indices = [];
    private readonly Dictionary<object, VfioDeviceSet> _sets = [];
    private readonly Dictionary<int, VfioGroup> _groups = [];
    private readonly List<VfioRegistration> _registrations = [];
    private readonly List<VfioIommuDriver> _iommuDrivers = [];
    private readonly ILogger _logger;
    private readonly Lazy<EventLoop> _eventLoop;
    private readonly ProcessMemoryAccount _account;
    private int _nextIommuGroup;
    private bool _disposed;

    /// <summary>Makes an empty host.</summary>
    /// <param name="options">Clock, logging and limits; null for the defaults.</param>
    public VfioHost(VfioHostOptions? options = null)
    {
        Options = options ?? new VfioHostOptions();
        _account = new ProcessMemoryAccount(Options.LockedMemory);
        _logger = Options.LoggerFactory.CreateLogger("Vfio.Host");
        _eventLoop = new Lazy<EventLoop>(() => new EventLoop("vfio event loop", LogCallbackFailed));
        RegisterIommuDriver(new NoIommuDriver(this));
        RegisterIommuDriver(new Type1Driver(this));
    }

    /// <summary>Clock, logging and limits.</summary>
    public VfioHostOptions Options { get; }

    /// <summary>The clock.</summary>
    public TimeProvider TimeProvider => Options.TimeProvider;

    /// <summary>The shared loop on which devices wait for descriptors: doorbells, unmask eventfds, serial lines. Its thread starts at first use.</summary>
    public EventLoop EventLoop => _eventLoop.Value;

    /// <summary>Threads for what blocks in the kernel: connections whose clients are busy.</summary>
    public WorkerThreads Workers { get; } = new();

    /// <summary>The devices that can be opened, in the order of registration.</summary>
    public IReadOnlyList<VfioDevice> Devices
    {
        get
        {
            lock (_registryLock)
            {
                return [.. from registration in _registrations where registration.IsOpenable select registration.Device];
            }
        }
    }

    /// <summary>The groups that have a node now.</summary>
    public IReadOnlyList<VfioGroup> Groups
    {
        get
        {
            lock (_registryLock)
            {
                return [.. _groups.Values];
            }
        }
    }

    /// <summary>Constructs a device, gives it the lowest free index, and runs its <see cref="VfioDevice.OnInitialize"/>.</summary>
    /// <typeparam name="T">The device class.</typeparam>
    /// <param name="create">Makes the object.</param>
    /// <returns>The device, with one reference that the caller gives back by <see cref="VfioDevice.Put"/>.</returns>
    /// <exception cref="VfioException">
    /// ENOSPC when all indices are taken; EINVAL when <paramref name="create"/> made nothing, or a device that is allocated already; or what
    /// the device's initialization reported.
    /// </exception>
    /// <remarks><c>vfio_alloc_device</c>; spec vfio-core §1.2. When initialization fails, the index is free again and <c>OnRelease</c> does not run.</remarks>
    public T Allocate<T>(Func<T> create)
        where T : VfioDevice
    {
        int index = TakeIndex();
        T device;
        try
        {
            device = create();
        }
        catch
        {
            FreeIndex(index);
            throw;
        }

        if (device is null || !device.TryAttach(this, index))
        {
            FreeIndex(index);
            throw new VfioException(
                Errno.EINVAL,
                $"allocate a {typeof(T).Name}",
                device is null ? "The factory returned null: return a new device." : "The factory returned a device that is allocated already: return a new one.");
        }

        Errno error = device.OnInitialize();
        if (error != Errno.None)
        {
            device.Withdraw();
            throw new VfioException(error, $"initialize device {typeof(T).Name}");
        }

        return device;
    }

    /// <summary>Announces a device whose DMA is done in software by its bus driver.</summary>
    /// <param name="device">An allocated device that is not registered.</param>
    /// <param name="parent">The bus device; its IOMMU group is not looked at.</param>
    /// <returns>The registration.</returns>
    /// <exception cref="VfioException">EINVAL when the device is registered already.</exception>
    /// <remarks><c>vfio_register_emulated_iommu_dev</c>. On return users may open the device, so it must be ready before.</remarks>
    public VfioRegistration RegisterEmulatedIommuDevice(VfioDevice device, DeviceParent parent)
        => Register(device, parent, VfioGroupType.EmulatedIommu);

    /// <summary>Announces a device under a name, as <see cref="RegisterEmulatedIommuDevice(VfioDevice, DeviceParent)"/>.</summary>
    /// <param name="device">An allocated device that is not registered.</param>
    /// <param name="name">The name by which users ask for it.</param>
    /// <returns>The registration.</returns>
    public VfioRegistration RegisterEmulatedIommuDevice(VfioDevice device, string name)
        => RegisterEmulatedIommuDevice(device, new DeviceParent(name));

    /// <summary>Announces a device that stands in an IOMMU group.</summary>
    /// <param name="device">An allocated device that is not registered.</param>
    /// <param name="parent">The bus device.</param>
    /// <returns>The registration.</returns>
    /// <exception cref="VfioException">
    /// EINVAL: the parent has no IOMMU group and <see cref="VfioHostOptions.UnsafeNoIommu"/> is off; it is registered in its group
    /// already; its DMA is not cache coherent; or the device is registered already.
    /// </exception>
    /// <remarks><c>vfio_register_group_dev</c>; spec vfio-core §3.1, §3.2.</remarks>
    public VfioRegistration RegisterGroupDevice(VfioDevice device, DeviceParent parent)
    {
        if (parent.IommuGroup is not null)
        {
            return Register(device, parent, VfioGroupType.Iommu);
        }

        if (!Options.UnsafeNoIommu)
        {
            throw new VfioException(
                Errno.EINVAL,
                $"register {parent.Name} as a group device",
                "It has no IOMMU group: put it in one with CreateIommuGroup, register it as an emulated device, or allow UnsafeNoIommu.");
        }

        LogNoIommu(parent.Name);
        return Register(device, parent, VfioGroupType.NoIommu);
    }

    /// <summary>Makes an IOMMU group of the simulated platform.</summary>
    /// <param name="name">Its name, if it has one.</param>
    /// <param name="hardware">The IOMMU in front of it; null for a <see cref="SimulatedIommu"/> without limits.</param>
    /// <returns>The group, with the next free number.</returns>
    public IommuGroup CreateIommuGroup(string? name = null, IIommuHardware? hardware = null)
        => new(Interlocked.Increment(ref _nextIommuGroup) - 1, name, hardware ?? s_defaultHardware);

    /// <summary>Opens a device's character device node. The file is unbound: only <see cref="VfioDeviceFile.Bind"/> succeeds on it.</summary>
    /// <param name="name">The name given at registration, the node name ("vfio0"), or its path ("/dev/vfio/devices/vfio0").</param>
    /// <param name="file">The file; the caller disposes it.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.ENODEV"/> when there is no such device any more or yet; <see cref="Errno.EPERM"/> for a device without IOMMU.</returns>
    /// <remarks><c>vfio_device_fops_cdev_open</c>. An open file, bound or not, keeps the device's unregistration waiting.</remarks>
    public Errno TryOpenDevice(string name, out VfioDeviceFile? file)
    {
        file = null;
        VfioDevice? device = FindDevice(name);
        if (device is null || !device.TryGetRegistration())
        {
            return Errno.ENODEV;
        }

        if (device.Group?.Type == VfioGroupType.NoIommu && !HasCapability(CallerCapabilities.RawIo))
        {
            device.PutRegistration();
            return Errno.EPERM;
        }

        file = new VfioDeviceFile(device);
        return Errno.None;
    }

    /// <summary>Finds a registered device.</summary>
    /// <param name="name">As for <see cref="TryOpenDevice"/>.</param>
    /// <returns>The device, or null.</returns>
    public VfioDevice? FindDevice(string name)
    {
        const string Nodes = "/dev/vfio/devices/";
        string node = name.StartsWith(Nodes, StringComparison.Ordinal) ? name[Nodes.Length..] : name;
        foreach (VfioDevice device in Devices)
        {
            if (device.NodeName == node || device.Name == name)
            {
                return device;
            }
        }

        return null;
    }

    /// <summary>Unregisters all devices, waits for their users, and stops the event loop.</summary>
    /// <returns>A task that completes when nothing of the host is left.</returns>
    public async ValueTask DisposeAsync()
    {
        VfioRegistration[] registrations;
        lock (_registryLock)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            registrations = [.. _registrations];
        }

        await Task.WhenAll(registrations.Select(static registration => registration.UnregisterAsync())).ConfigureAwait(false);
        if (_eventLoop.IsValueCreated)
        {
            _eventLoop.Value.Dispose();
        }

        Workers.Dispose();
    }

    internal void LogRequest(VfioDevice device, uint count) => LogWaitingForUsers(device.Name, count);

    internal void LogRequestFailed(VfioDevice device, Exception exception) => LogRequestThrew(device.Name, exception);

    internal void LogCloseFailed(VfioDevice device, Exception exception) => LogCloseThrew(device.Name, exception);

    internal void LogInterrupted(VfioDevice device) => LogUninterruptible(device.Name);

    internal void LogPinsKept(IovaRange range) => LogPinsStay(range);

    [LoggerMessage(EventId = 1001, Level = LogLevel.Warning, Message = "Device {Device} is offered without IOMMU protection: its users can reach all memory")]
    private partial void LogNoIommu(string device);

    [LoggerMessage(EventId = 1002, Level = LogLevel.Information, Message = "Device {Device} is being unregistered and still in use (request {Count})")]
    private partial void LogWaitingForUsers(string device, uint count);

    [LoggerMessage(EventId = 1003, Level = LogLevel.Warning, Message = "Unregistration of {Device} was interrupted while in use; it goes on until the last user has closed the device")]
    private partial void LogUninterruptible(string device);

    [LoggerMessage(EventId = 1005, Level = LogLevel.Error, Message = "OnRequest of {Device} failed; the unregistration goes on")]
    private partial void LogRequestThrew(string device, Exception exception);

    [LoggerMessage(EventId = 1006, Level = LogLevel.Error, Message = "OnClose of {Device} failed; the device is closed nevertheless")]
    private partial void LogCloseThrew(string device, Exception exception);

    [LoggerMessage(EventId = 1007, Level = LogLevel.Error, Message = "A device does not give back what it pinned in {Range}; the memory stays mapped")]
    private partial void LogPinsStay(IovaRange range);

    [LoggerMessage(EventId = 1004, Level = LogLevel.Error, Message = "A callback on the host's event loop failed")]
    private partial void LogCallbackFailed(Exception exception);
}

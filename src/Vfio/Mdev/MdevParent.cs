using Vfio.Abi;
using Vfio.Linux;

namespace Vfio;

/// <summary>A device that mediated devices can be made on (<c>mdev_parent</c>).</summary>
/// <remarks>Made by <see cref="VfioHost.RegisterMdevParent"/>. Removal and unregistration wait for the users of the devices.</remarks>
public sealed class MdevParent : IAsyncDisposable
{
    private readonly VfioHost _host;
    private readonly List<MdevDevice> _devices = [];
    private uint _available;
    private int _inFlight;
    private bool _unregistering;
    private TaskCompletionSource? _quiet;
    private Task? _unregistration;

    internal MdevParent(VfioHost host, string name, string driverName, MdevDriver driver, IReadOnlyList<MdevType> types)
    {
        _host = host;
        Name = name;
        DriverName = driverName;
        Driver = driver;
        Types = types;
        _available = driver.MaximumInstances;
    }

    /// <summary>The parent device's name.</summary>
    public string Name { get; }

    /// <summary>The name of the parent device's driver: the first half of a type directory's name.</summary>
    public string DriverName { get; }

    /// <summary>Who makes the devices.</summary>
    public MdevDriver Driver { get; }

    /// <summary>The types that can be made.</summary>
    public IReadOnlyList<MdevType> Types { get; }

    /// <summary>The devices that exist, in the order of their creation.</summary>
    public IReadOnlyList<MdevDevice> Devices
    {
        get
        {
            lock (_host.MdevLock)
            {
                return [.. _devices.Where(static device => device.IsActive)];
            }
        }
    }

    /// <summary>Makes a device from the text written to a type's <c>create</c> attribute.</summary>
    /// <param name="type">One of <see cref="Types"/>.</param>
    /// <param name="text">36 characters of a GUID, and one more that is not looked at.</param>
    /// <returns>
    /// The length of the text; EINVAL for another length or no GUID; EEXIST when the GUID is in use in the host; EUSERS when all instances
    /// are taken; ENODEV while the parent is being unregistered; what the driver's probe reported.
    /// </returns>
    /// <remarks><c>create_store</c>, <c>mdev_device_create</c>; spec vfio-core §9.3. A failing creation gives its instance back, which the kernel does not in one case (Q10).</remarks>
    public IoResult Create(MdevType type, string text)
    {
        const int GuidLength = 36;
        if (text.Length is not (GuidLength or GuidLength + 1) || !Guid.TryParseExact(text.AsSpan(0, GuidLength), "d", out Guid id))
        {
            return Errno.EINVAL;
        }

        Errno error = Create(type, id, out _);
        return error != Errno.None ? error : IoResult.Success(text.Length);
    }

    /// <summary>Makes a device.</summary>
    /// <param name="type">One of <see cref="Types"/>.</param>
    /// <param name="id">Its GUID.</param>
    /// <param name="device">The device.</param>
    /// <returns>As <see cref="Create(MdevType, string)"/>.</returns>
    public Errno Create(MdevType type, Guid id, out MdevDevice? device)
    {
        device = null;
        if (!Types.Contains(type))
        {
            return Errno.EINVAL;
        }

        bool counted = Driver.GetAvailable(type) is null;
        MdevDevice created;
        lock (_host.MdevLock)
        {
            if (_host.MdevIds.Contains(id))
            {
                return Errno.EEXIST;
            }

            if (counted && _available == 0)
            {
                return Errno.EUSERS;
            }

            if (_unregistering)
            {
                return Errno.ENODEV;
            }

            created = new MdevDevice(this, type, id, released => Released(released, counted));
            _host.MdevIds.Add(id);
            _available -= counted ? 1u : 0u;
            _devices.Add(created);
            _inFlight++;
        }

        Errno error;
        try
        {
            error = Driver.Probe(created);
        }
        catch
        {
            // The driver's mistake is its caller's to see, but must not keep the GUID, or an unregistration waiting for ever.
            Forget(created);
            created.Put();
            Leave();
            throw;
        }

        if (error == Errno.None)
        {
            lock (_host.MdevLock)
            {
                created.IsActive = true;
            }

            device = created;
        }
        else
        {
            Forget(created);
            created.Put();
        }

        Leave();
        return error;
    }

    /// <summary>Removes a device by the text written to its <c>remove</c> attribute.</summary>
    /// <param name="device">The device.</param>
    /// <param name="text">A number: 0 does nothing.</param>
    /// <returns>The length of the text; EINVAL when it is no number; otherwise as <see cref="RemoveAsync(MdevDevice)"/>.</returns>
    /// <remarks><c>remove_store</c>; spec vfio-core §9.4.</remarks>
    public async Task<IoResult> RemoveAsync(MdevDevice device, string text)
    {
        if (!TryParseNumber(text.TrimEnd('\n'), out ulong number))
        {
            return Errno.EINVAL;
        }

        Errno error = number == 0 ? Errno.None : await RemoveAsync(device).ConfigureAwait(false);
        return error != Errno.None ? error : IoResult.Success(text.Length);
    }

    /// <summary>Removes a device. Completes when its last user has gone.</summary>
    /// <param name="device">The device.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.ENODEV"/> when it is gone or the parent is being unregistered; <see cref="Errno.EAGAIN"/> while it is being created or removed.</returns>
    public async Task<Errno> RemoveAsync(MdevDevice device)
    {
        lock (_host.MdevLock)
        {
            if (!_devices.Contains(device) || _unregistering)
            {
                return Errno.ENODEV;
            }

            if (!device.IsActive)
            {
                return Errno.EAGAIN;
            }

            device.IsActive = false;
            _inFlight++;
        }

        try
        {
            await FinishAsync(device).ConfigureAwait(false);
        }
        finally
        {
            Leave();
        }

        return Errno.None;
    }

    /// <summary>Withdraws the parent: nothing can be made or removed on it any more, and all its devices are removed.</summary>
    /// <returns>A task that completes when the last of them has no user. All calls return the same task.</returns>
    /// <remarks><c>mdev_unregister_parent</c>.</remarks>
    public Task UnregisterAsync()
    {
        lock (_host.MdevLock)
        {
            return _unregistration ??= Start();
        }

        Task Start()
        {
            _unregistering = true;
            return RunAsync();
        }
    }

    /// <summary>Unregisters the parent.</summary>
    /// <returns>A task as of <see cref="UnregisterAsync"/>.</returns>
    public ValueTask DisposeAsync() => new(UnregisterAsync());

    /// <summary>The parent's directory <c>mdev_supported_types</c> and its devices, as sysfs shows them (spec vfio-core §9.2).</summary>
    /// <returns>The directory, named after the parent.</returns>
    internal VirtualDirectory ToTree() => new(Name, () =>
        [new VirtualDirectory("mdev_supported_types", () => Types.Select(TypeDirectory)), .. Devices.Select(DeviceDirectory)]);

    private static bool TryParseNumber(string text, out ulong number)
    {
        // The base is told by the prefix, as kstrtoul does with base 0.
        try
        {
            number = text switch
            {
                ['0', 'x' or 'X', ..] => Convert.ToUInt64(text, 16),
                ['0', _, ..] => Convert.ToUInt64(text, 8),
                _ => ulong.Parse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture),
            };
            return true;
        }
        catch (Exception exception) when (exception is FormatException or OverflowException or ArgumentException)
        {
            number = 0;
            return false;
        }
    }

    private VirtualDirectory TypeDirectory(MdevType type) => new($"{DriverName}-{type.SysfsName}", () =>
    {
        List<VirtualNode> nodes =
        [
            new VirtualAttribute("create", null, text => Task.FromResult(Create(type, text))),
            new VirtualAttribute("device_api", () => $"{Driver.DeviceApi}\n"),
            new VirtualAttribute("name", () => $"{type.PrettyName ?? type.SysfsName}\n"),
            new VirtualAttribute("available_instances", () => $"{Available(type)}\n"),
            new VirtualDirectory("devices", () => Devices.Where(device => device.Type == type).Select(device => new VirtualLink(device.Name, $"{Name}/{device.Name}"))),
        ];
        if (Driver.Describe(type) is { } description)
        {
            nodes.Add(new VirtualAttribute("description", () => description));
        }

        return nodes;
    });

    private VirtualDirectory DeviceDirectory(MdevDevice device) => new(device.Name, () =>
    [
        new VirtualAttribute("remove", null, text => RemoveAsync(device, text)),
        new VirtualLink("mdev_type", $"{Name}/mdev_supported_types/{DriverName}-{device.Type.SysfsName}"),
    ]);

    private uint Available(MdevType type)
    {
        if (Driver.GetAvailable(type) is { } answer)
        {
            return answer;
        }

        lock (_host.MdevLock)
        {
            return _available;
        }
    }

    private async Task RunAsync()
    {
        // Leaves the lock of the caller before anything else, and lets creations and removals finish: no new ones start.
        await Task.Yield();
        Task quiet;
        lock (_host.MdevLock)
        {
            _quiet = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            quiet = _quiet.Task;
            if (_inFlight == 0)
            {
                _quiet.SetResult();
            }
        }

        await quiet.ConfigureAwait(false);
        MdevDevice[] devices;
        lock (_host.MdevLock)
        {
            devices = [.. _devices.Where(static device => device.IsActive)];
            Array.ForEach(devices, static device => device.IsActive = false);
        }

        await Task.WhenAll(devices.Select(FinishAsync)).ConfigureAwait(false);
        _host.ForgetMdevParent(this);
    }

    private async Task FinishAsync(MdevDevice device)
    {
        await Driver.RemoveAsync(device).ConfigureAwait(false);
        Forget(device);
        device.Put();
    }

    private void Leave()
    {
        lock (_host.MdevLock)
        {
            if (--_inFlight == 0)
            {
                _quiet?.TrySetResult();
            }
        }
    }

    private void Forget(MdevDevice device)
    {
        lock (_host.MdevLock)
        {
            _devices.Remove(device);
            _host.MdevIds.Remove(device.Id);
        }
    }

    private void Released(MdevDevice device, bool counted)
    {
        if (counted)
        {
            lock (_host.MdevLock)
            {
                _available++;
            }
        }
    }
}

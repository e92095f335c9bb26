using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Vfio.Abi;

namespace Vfio.Pci;

/// <summary>A PCI device as a class: the author declares it in <see cref="Configure"/>, and this class is the bus driver that VFIO users talk to.</summary>
/// <remarks>
/// <para>
/// <b>Locks.</b> <see cref="StateLock"/> guards the device's state. The framework holds it around register handlers, doorbell callbacks,
/// writes to configuration space and every <c>On…</c> hook of this class, so that a device written for one thread is correct.
/// Code on other threads takes it itself. It is never held around DMA: a transfer may wait for a message from the user, which in turn may
/// be waiting for a register access. Transfers belong into a <see cref="DeviceWork"/>, which runs without the lock (ADR 0100).
/// Lock order: device set → <see cref="StateLock"/> → <see cref="Interrupts"/> → <see cref="Config"/>.
/// </para>
/// <para>
/// <b>Errors.</b> What a guest does wrong at a plausible place reads as ones or is dropped, and is logged at a limited rate; see
/// <see cref="AccessResult"/>.
/// </para>
/// <para>
/// <b>Resets</b> return registers and device state to their reset values. As after a VFIO reset, which restores the function, the
/// header (Command, BARs), MSI and MSI-X set-up with their eventfds, shared BAR memory and the user's mappings stay. When the last user
/// closes, everything returns to power-on, no interrupt set-up survives, and BAR memory that was mapped is replaced by new memory.
/// </para>
/// </remarks>
public abstract partial class VfioPciDevice : VfioDevice, IPciFunction
{
    private static readonly TimeSpan s_drainLimit = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_resetLimit = TimeSpan.FromSeconds(1);
    private readonly List<DeviceWork> _works = [];
    private PciConfiguration? _configuration;
    private PciBar?[] _bars = [];
    private ConfigSpace _config = new(ConfigSpace.ConventionalLength);
    private ILogger _logger = NullLogger.Instance;
    private LogLimiter? _limiter;
    private int _powerState;
    private bool _released;

    /// <summary>Guards the device's state. Re-entrant. Never hold it around DMA.</summary>
    public Lock StateLock { get; } = new();

    /// <summary>The device's interrupts.</summary>
    /// <exception cref="InvalidOperationException">The device is not allocated yet.</exception>
    public PciInterrupts Interrupts => Configuration.Interrupts;

    /// <summary>The device's configuration space.</summary>
    /// <exception cref="InvalidOperationException">The device is not allocated yet.</exception>
    public ConfigSpace Config => Configuration.Config;

    int IPciFunction.ConfigLength => Config.Length;

    Errno IPciFunction.ReadConfig(int offset, Span<byte> destination) => Config.Read((ulong)offset, destination);

    /// <summary>The device's log.</summary>
    protected internal ILogger Logger => _logger;

    internal TimeProvider Clock => Host.TimeProvider;

    internal bool IsPhysicalFunction => Configuration.Token is not null;

    private PciConfiguration Configuration => _configuration
        ?? throw new InvalidOperationException($"{GetType().Name} is not allocated yet: construct it inside VfioHost.Allocate.");

    /// <summary>Makes a piece of work that runs outside register handlers.</summary>
    /// <param name="name">Its name in logs.</param>
    /// <param name="run">What it does; see <see cref="DeviceWork"/> for what it may do.</param>
    /// <param name="longRunning">
    /// Whether a run takes seconds or does not end by itself, such as one that polls: it gets a thread of its own, and must look at
    /// <see cref="WorkTurn.IsCancelled"/> often, since a reset and a close wait for it.
    /// </param>
    /// <param name="outlivesReset">
    /// Whether a run may go on after a reset that the user asked for, since it never reaches his memory: such as one that waits for storage. A close waits nevertheless.
    /// </param>
    /// <returns>The work; the device disposes it when released.</returns>
    public DeviceWork CreateWork(string name, Action<WorkTurn> run, bool longRunning = false, bool outlivesReset = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(run);
        var work = new DeviceWork(this, name, run, longRunning) { OutlivesReset = outlivesReset };
        lock (StateLock)
        {
            _works.Add(work);
            if (_areWorksPaused)
            {
                work.Pause();
            }
        }

        return work;
    }

    /// <summary>Declares the device. Called once, when it is allocated.</summary>
    /// <param name="pci">Receives the declaration.</param>
    protected abstract void Configure(PciDeviceBuilder pci);

    /// <summary>Returns the device's own state to its reset values; register blocks were reset before. Runs with the state lock held.</summary>
    /// <param name="kind">What caused the reset.</param>
    protected internal virtual void OnReset(ResetKind kind)
    {
    }

    /// <summary>The first user has opened the device; its DMA works from now on. Runs with the state lock held.</summary>
    /// <returns><see cref="Errno.None"/>, or an errno for the opener.</returns>
    protected virtual Errno OnOpened() => Errno.None;

    /// <summary>The last user has closed the device, works have stopped, and it was reset (<see cref="ResetKind.LostClient"/>). Runs with the state lock held.</summary>
    protected virtual void OnClosed()
    {
    }

    /// <summary>The Command register changed. Runs with the state lock held.</summary>
    /// <param name="command">Its new value.</param>
    protected virtual void OnCommandChanged(PciCommand command)
    {
    }

    /// <summary>The power state changed. Runs with the state lock held.</summary>
    /// <param name="state">0 for D0, 3 for D3hot.</param>
    protected virtual void OnPowerStateChanged(int state)
    {
    }

    /// <summary>Software changed a vendor specific capability. Runs with the state lock held.</summary>
    protected virtual void OnVendorConfigChanged()
    {
    }

    /// <summary>
    /// The host has enabled or disabled virtual functions of this physical one. Their devices are made after this, and gone before they are disabled.
    /// Runs with the state lock held.
    /// </summary>
    /// <param name="count">How many there are now.</param>
    protected virtual void OnVirtualFunctionsChanged(int count)
    {
    }

    /// <summary>The host wants the device back: each turn of the unregister loop. Runs with the state lock held.</summary>
    /// <param name="count">0 at the first turn, then 1, 2, ….</param>
    protected virtual void OnReleaseRequested(uint count)
    {
    }

    /// <summary>The device ceases to be: dispose what the author made. Works and BAR memory are disposed by this class.</summary>
    protected virtual void OnDisposed()
    {
    }

    /// <inheritdoc/>
    /// <exception cref="PciConfigurationException">The declaration has mistakes.</exception>
    protected sealed override Errno OnInitialize()
    {
        _logger = Host.Options.LoggerFactory.CreateLogger(GetType().FullName ?? nameof(VfioPciDevice));
        _limiter = new LogLimiter(Clock);
        var builder = new PciDeviceBuilder();
        Configure(builder);
        _configuration = builder.Build(this);
        _bars = _configuration.Bars;
        _config = _configuration.Config;
        foreach (PciBar? bar in _bars)
        {
            foreach (BarArea area in bar?.Areas ?? [])
            {
                if (area.Block is { } block)
                {
                    block.Owner = this;
                }
            }
        }

        if (_configuration.IsMigratable)
        {
            _migration = new PciMigration(this);
            _dirtyLog = new DmaDirtyLog(Dma);
        }

        try
        {
            StartDoorbells();
        }
        catch
        {
            OnRelease();
            throw;
        }

        Errno error = TakePlace();
        if (error != Errno.None)
        {
            OnRelease();
            return error;
        }

        Reset(ResetKind.PowerOn);
        return Errno.None;
    }

    /// <inheritdoc/>
    protected sealed override void OnRelease()
    {
        if (_released)
        {
            return;
        }

        _released = true;
        if (_configuration?.Place is { } place)
        {
            place.Bus.Remove(place);
        }

        StopDoorbells();
        DeviceWork[] works;
        lock (StateLock)
        {
            works = [.. _works];
        }

        foreach (DeviceWork work in works)
        {
            work.Dispose();
        }

        foreach (DeviceWork work in works)
        {
            _ = work.Drain(s_drainLimit);
        }

        _configuration?.Interrupts.Shutdown();
        foreach (PciBar? bar in _bars)
        {
            foreach (BarArea area in bar?.Mappable ?? [])
            {
                area.Memory!.Dispose();
            }
        }

        OnDisposed();
    }

    /// <inheritdoc/>
    protected sealed override Errno OnOpen()
    {
        Errno error;
        lock (StateLock)
        {
            error = OnOpened();
        }

        if (error == Errno.None)
        {
            Configuration.PhysicalFunction?.VirtualFunctions!.AddUser(1);
        }

        return error;
    }

    /// <inheritdoc/>
    protected sealed override void OnClose()
    {
        Configuration.PhysicalFunction?.VirtualFunctions!.AddUser(-1);
        ClearIoEventFds();
        DeviceWork[] works;
        lock (StateLock)
        {
            OrphanDmaBufs();
            ExitLowPower();
            Reset(ResetKind.LostClient);
            works = [.. _works];
        }

        // Without the lock: a run under way may need it to finish.
        foreach (DeviceWork work in works)
        {
            if (!work.Drain(s_drainLimit))
            {
                LogWorkStuck(Name, work.Name);
            }
        }

        lock (StateLock)
        {
            foreach (PciBar? bar in _bars)
            {
                foreach (BarArea area in bar?.Mappable ?? [])
                {
                    Errno error = area.Memory!.Renew();
                    if (error != Errno.None)
                    {
                        LogMemoryShared(Name, area.Memory.Name, error);
                    }
                }
            }

            _ = Dma.StopLog();
            OnClosed();
        }
    }

    /// <inheritdoc/>
    protected sealed override void OnRequest(uint count)
    {
        bool notified = Interrupts.RaiseRequest();
        if (!notified && count == 0)
        {
            LogNobodyToAsk(Name);
        }

        lock (StateLock)
        {
            OnReleaseRequested(count);
        }
    }

    /// <summary>Resets the device, as if the user had asked.</summary>
    /// <param name="kind">What caused it.</param>
    protected void Reset(ResetKind kind)
    {
        lock (StateLock)
        {
            foreach (DeviceWork work in _works)
            {
                work.Cancel();
            }

            _resetting = true;
            UpdateDmaBufs();
            try
            {
                ResetState(kind);
            }
            finally
            {
                _resetting = false;
                UpdateDmaBufs();
            }
        }
    }

    /// <summary>
    /// After a reset that the user asked for, without the lock: waits for the works that it cancelled, so that nothing of before the reset reaches the user's memory once
    /// he is answered. A client of vfio-user is to be answered within a second (spec vfio-user §4.5).
    /// </summary>
    /// <returns><see cref="Errno.ETIMEDOUT"/> when one goes on; the reset is done nevertheless.</returns>
    private Errno AwaitCancelledWorks()
    {
        long begun = Stopwatch.GetTimestamp();
        Errno error = Errno.None;
        foreach (DeviceWork work in Works())
        {
            if (!work.OutlivesReset && !work.AwaitCancelled(s_resetLimit - Stopwatch.GetElapsedTime(begun)))
            {
                LogWorkOutlastsReset(Name, work.Name);
                error = Errno.ETIMEDOUT;
            }
        }

        return error;
    }

    /// <summary>Whether a line that a peer can cause may be written to <see cref="Logger"/> now: a few at once, then one a second.</summary>
    /// <param name="swallowed">How many lines were refused since the last one; the line should tell.</param>
    /// <returns>False when the line is to be left out.</returns>
    protected internal bool TryLog(out long swallowed)
    {
        swallowed = 0;
        return _limiter?.TryTake(out swallowed) ?? false;
    }

    private void ResetState(ResetKind kind)
    {
        PciConfiguration configuration = Configuration;
        if (kind is ResetKind.PowerOn or ResetKind.LostClient)
        {
            configuration.Config.PowerOn();
            ShowVirtualFunctions();
            configuration.Interrupts.Shutdown();
        }
        else
        {
            ResetConfig(configuration);
            configuration.Interrupts.Reset();
        }

        _powerState = 0;
        foreach (PciBar? bar in _bars)
        {
            foreach (BarArea area in bar?.Areas ?? [])
            {
                if (!area.IsOverlay)
                {
                    area.Block?.Reset(kind);
                }
            }
        }

        OnReset(kind);
    }

    /// <summary>Stands on the declared bus, whose functions are one device set.</summary>
    private Errno TakePlace()
    {
        if (_configuration!.Place is not { } place)
        {
            return Errno.None;
        }

        return place.Bus.TryAdd(place) ? AssignSet(place.Bus) : Errno.EEXIST;
    }

    /// <summary>Logs the use of a register that is not modelled, unless the rate is exceeded.</summary>
    /// <returns>Whether the line was written.</returns>
    internal bool TryReportUnimplemented(string block, string register)
    {
        if (!Logger.IsEnabled(LogLevel.Warning) || !TryLog(out _))
        {
            return false;
        }

        LogUnimplemented(Name, register, block);
        return true;
    }

    internal void ReportWorkFailure(string work, Exception exception) => LogWorkFailed(Name, work, exception);

    /// <summary>What a function reset changes and VFIO does not restore: error bits, and the power state.</summary>
    private static void ResetConfig(PciConfiguration configuration)
    {
        configuration.Config.Update(PciRegister.Status, 0xF900, 0);
        if (configuration.PowerOffset != 0)
        {
            configuration.Config.Update(configuration.PowerOffset + 4, 3, 0);
        }

        if (configuration.ExpressOffset != 0)
        {
            configuration.Config.Update(configuration.ExpressOffset + 0x0A, 0x000F, 0);
        }
    }

    [LoggerMessage(EventId = 3001, Level = LogLevel.Warning, Message = "{Device}: {Access} of {Width} bytes at 0x{Offset:X} of BAR {Bar} ({Block}): {Result} ({Swallowed} such lines were left out)")]
    private partial void LogAccess(string device, string access, int width, ulong offset, int bar, string block, AccessResult result, long swallowed);

    [LoggerMessage(EventId = 3002, Level = LogLevel.Error, Message = "{Device}: work '{Work}' failed; the device goes on")]
    private partial void LogWorkFailed(string device, string work, Exception exception);

    [LoggerMessage(EventId = 3003, Level = LogLevel.Error, Message = "{Device}: work '{Work}' still runs five seconds after the last user has gone")]
    private partial void LogWorkStuck(string device, string work);

    [LoggerMessage(EventId = 3011, Level = LogLevel.Error, Message = "{Device}: work '{Work}' still runs a second after a reset, and may reach the user's memory; it should ask whether it is cancelled")]
    private partial void LogWorkOutlastsReset(string device, string work);

    [LoggerMessage(EventId = 3004, Level = LogLevel.Information, Message = "{Device}: its user is asked to release it but has set no REQ eventfd; waiting for it to close")]
    private partial void LogNobodyToAsk(string device);

    [LoggerMessage(EventId = 3006, Level = LogLevel.Error, Message = "{Device}: BAR memory '{Memory}' could not be replaced ({Error}); it was cleared, but earlier users who mapped it still share it")]
    private partial void LogMemoryShared(string device, string memory, Errno error);

    [LoggerMessage(EventId = 3007, Level = LogLevel.Warning, Message = "{Device}: register '{Register}' of block '{Block}' is used but not modelled; it reads its reset value and ignores writes (said once)")]
    private partial void LogUnimplemented(string device, string register, string block);

    [LoggerMessage(EventId = 3008, Level = LogLevel.Trace, Message = "{Device}: {Access} BAR {Bar} +0x{Offset:X}: {Register}")]
    private partial void LogRegister(string device, string access, int bar, ulong offset, string register);

    [LoggerMessage(EventId = 3005, Level = LogLevel.Information, Message = "{Device}: reset ({Kind})")]
    private partial void LogReset(string device, ResetKind kind);
}

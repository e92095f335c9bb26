using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <summary>
/// An NVMe 2.0 controller with the NVM command set and zoned namespaces: queues in the host's memory, namespaces behind <see cref="INvmeBackend"/>. The README has
/// the registers and the commands.
/// </summary>
/// <remarks>This class is the PCI function; what the standard's chapters say is in <c>NvmeController</c> and the commands.</remarks>
public sealed class NvmeDevice : VfioPciDevice
{
    private const int RegisterBar = 0;
    private const int MsixBar = 4;
    private readonly NvmeOptions _options;
    private readonly NvmeController _controller;
    private int _powerState;

    /// <summary>Makes the controller and opens its namespaces.</summary>
    /// <param name="options">Settings; null for one namespace of 64 MiB in memory.</param>
    /// <exception cref="ArgumentException">A setting is out of range; the message says what is accepted.</exception>
    /// <exception cref="Vfio.Linux.LinuxException">A backend cannot be opened.</exception>
    public NvmeDevice(NvmeOptions? options = null)
    {
        _options = options ?? new NvmeOptions();
        if (_options.FindMistake() is { } mistake)
        {
            throw new ArgumentException(mistake, nameof(options));
        }

        _controller = new NvmeController(this, _options);
    }

    /// <inheritdoc/>
    protected override void Configure(PciDeviceBuilder pci)
    {
        ArgumentNullException.ThrowIfNull(pci);
        int pairs = _options.Queues + 1;
        ulong doorbells = NvmeController.DoorbellLength(pairs);
        pci.Id(vendor: 0x1234, device: 0x4E56, revision: 1)
            .Subsystem(0x1234, 0x4E56)
            .Class(0x01, 0x08, 0x02)
            .Intx()
            .Bar(RegisterBar, System.Numerics.BitOperations.RoundUpToPowerOf2(ControllerRegisters.Length + doorbells), PciBarKind.Memory64, prefetchable: false, bar =>
            {
                bar.Registers(0, _controller.Registers);
                if (_controller.SharedDoorbells is { } shared)
                {
                    bar.Memory(ControllerRegisters.Length, shared, _controller.WakePoller);
                }
                else
                {
                    bar.Registers(ControllerRegisters.Length, new DoorbellBlock(_controller, pairs));
                }
            })
            .PowerManagement()
            .Msi(vectors: Math.Min(32, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)pairs)), maskable: true)
            .Msix(vectors: pairs, bar: MsixBar)
            .PciExpress(functionLevelReset: true);
        if (_controller.CanMigrate)
        {
            pci.Migratable();
        }

        _controller.Start();
    }

    /// <summary>What is behind the function.</summary>
    internal NvmeController Controller => _controller;

    /// <summary>Milliseconds of the host program's clock, which only goes forward.</summary>
    internal long Milliseconds => (long)Host.TimeProvider.GetElapsedTime(0).TotalMilliseconds;

    /// <summary>Tells that the controller stopped with CSTS.CFS.</summary>
    internal void LogFatal(string reason)
    {
        if (TryLog(out long swallowed))
        {
            NvmeLog.Fatal(Logger, Name, reason, swallowed);
        }
    }

    /// <summary>Tells that storage failed. On any thread.</summary>
    internal void LogBackendFailed(uint id, string operation, Errno error) => NvmeLog.BackendFailed(Logger, Name, id, operation, error);

    /// <summary>Tells what a backend has to say. On any thread.</summary>
    internal void LogBackend(uint id, string text)
    {
        if (TryLog(out long swallowed))
        {
            NvmeLog.Backend(Logger, Name, id, text, swallowed);
        }
    }

    /// <summary>Makes a namespace and shows it to the host, which hears of it if it asked to. Any thread.</summary>
    /// <param name="options">Its settings.</param>
    /// <returns>Its identifier (NSID): the lowest that is free.</returns>
    /// <exception cref="ArgumentException">A setting is out of range; the message says what is accepted.</exception>
    /// <exception cref="InvalidOperationException">There are as many namespaces as there may be, 256.</exception>
    /// <exception cref="Vfio.Linux.LinuxException">The backend cannot be opened.</exception>
    /// <remarks>NVMe Base 2.0 §3.2.1: attached, with the Namespace Attribute Changed event.</remarks>
    public uint AttachNamespace(NvmeNamespaceOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return options.FindMistake() is { } mistake ? throw new ArgumentException(mistake, nameof(options)) : _controller.Attach(options);
    }

    /// <summary>
    /// Takes a namespace away from the host, which hears of it if it asked to: commands under way end, later ones are refused, what is in a cache
    /// is flushed, and the backend is disposed. Any thread but a backend's; waits for the commands.
    /// </summary>
    /// <param name="id">Its identifier (NSID).</param>
    /// <returns>False when there is none.</returns>
    public bool DetachNamespace(uint id) => _controller.Remove(id);

    /// <summary>
    /// Wears out a zone, as flash does: it can be read only, or not even that, and its host learns of it from the commands that fail. Any thread.
    /// </summary>
    /// <param name="namespaceId">The namespace's identifier (NSID).</param>
    /// <param name="zone">The zone, from 0.</param>
    /// <param name="isOffline">Whether it cannot be read either.</param>
    /// <returns>False when there is no such namespace or zone.</returns>
    /// <remarks>ZNS Command Set 1.1 §2.1.1.3: transitions to Read Only and Offline, which nothing ends. Commands under way end as they would have.</remarks>
    public bool WearOutZone(uint namespaceId, int zone, bool isOffline = false) => _controller.TryWearOut(namespaceId, zone, isOffline);

    /// <inheritdoc/>
    protected override void OnCommandChanged(PciCommand command) => UpdateBusMaster();

    /// <inheritdoc/>
    protected override void OnPowerStateChanged(int state)
    {
        _powerState = state;
        UpdateBusMaster();
    }

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind)
    {
        _powerState = 0;
        _controller.ResetFunction();
        UpdateBusMaster();
    }

    /// <inheritdoc/>
    protected override void OnDisposed() => _controller.Dispose();

    /// <inheritdoc/>
    protected override long MaximumStateLength => _controller.MaximumStateLength;

    /// <inheritdoc/>
    protected override void SaveIdentity(DeviceStateWriter writer) => _controller.SaveIdentity(writer);

    /// <inheritdoc/>
    protected override Errno OnStopped() => _controller.EndIo();

    /// <inheritdoc/>
    protected override void SaveState(DeviceStateWriter writer) => _controller.SaveState(writer);

    /// <inheritdoc/>
    protected override Errno TryRestoreState(ref DeviceStateReader reader) => _controller.TryRestoreState(ref reader);

    /// <inheritdoc/>
    protected override void OnContinued(bool isRestored) => _controller.Continue(isRestored);

    /// <summary>The function reaches memory in D0 with bus mastering on. State lock held.</summary>
    private void UpdateBusMaster() => _controller.SetBusMaster(_powerState == 0 && (Config.GetWord(PciRegister.Command) & (ushort)PciCommand.BusMaster) != 0);
}

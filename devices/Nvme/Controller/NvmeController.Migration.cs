using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <content>
/// What of the controller is not in its registers, as it is saved while nothing runs and taken by another controller. Commands that were fetched are
/// executed and completed before; those that were not are fetched by the other one.
/// </content>
internal sealed partial class NvmeController
{
    private const ushort StateForm = 2;
    private const int MaxAdminEntries = 4096;

    /// <summary>Milliseconds that commands may wait for their storage before the controller cannot be stopped now.</summary>
    private const int LaneLimit = 5000;

    /// <summary>Besides what namespaces in memory hold: queues, features, logs, marks.</summary>
    private const long PlainStateLength = 4 << 20;

    /// <summary>The most bytes of namespaces in memory that travel.</summary>
    private const ulong MaxTravellingMemory = 1 << 30;

    /// <summary>Whether what its namespaces may have in memory can travel.</summary>
    public bool CanMigrate => _options.ManagedCapacity <= MaxTravellingMemory && MemoryLength() + _options.ManagedCapacity <= MaxTravellingMemory;

    public long MaximumStateLength
    {
        get
        {
            // Each piece of memory has a head, and each block of managed namespaces may have metadata.
            ulong memory = Math.Min(MemoryLength(), MaxTravellingMemory) + (_options.ManagedCapacity / 8 * 9);
            long zones = _allocated.Sum(static ns => (long)(ns?.Zones?.Count ?? 0) * NamespaceState.ZoneLength);
            return PlainStateLength + zones + (long)(memory + (memory / NamespaceState.PieceLength * NamespaceState.PieceHeadLength));
        }
    }

    /// <summary>What both controllers must have in common.</summary>
    public void SaveIdentity(DeviceStateWriter writer)
    {
        writer.WriteByte((byte)_options.Serial.Length);
        writer.WriteBytes(System.Text.Encoding.ASCII.GetBytes(_options.Serial));
        writer.WriteByte((byte)_options.Model.Length);
        writer.WriteBytes(System.Text.Encoding.ASCII.GetBytes(_options.Model));
        writer.WriteUInt16((ushort)_options.Queues);
        writer.WriteUInt32((uint)_options.QueueEntries);
        writer.WriteBoolean(_options.Polled);
        writer.WriteUInt64(_options.ManagedCapacity);
    }

    /// <summary>Nothing runs any more: what is in caches is made durable, for whoever opens the same storage next.</summary>
    public Errno EndIo()
    {
        if (Formats.IsBusy)
        {
            return Errno.EBUSY;
        }

        // The works have paused, so that nothing is handed over any more; what was is completed here.
        long end = Environment.TickCount64 + LaneLimit;
        foreach (QueueLanes? lanes in _lanes)
        {
            if (lanes is not null && !lanes.AwaitIdle(end))
            {
                return Errno.EBUSY;
            }
        }

        if (MemoryLength() > MaxTravellingMemory)
        {
            return Errno.EFBIG;
        }

        return TryFlushAll() ? Errno.None : Errno.EIO;
    }

    public void SaveState(DeviceStateWriter writer)
    {
        writer.WriteUInt16(StateForm);
        writer.WriteBoolean(_isRunning);
        writer.WriteUInt32(PageSize);
        writer.WriteUInt32(_messagesPending);
        Features.Save(writer, Milliseconds);
        Events.Save(writer);
        Changed.Save(writer);
        SaveQueues(writer);
        Errors.Save(writer);
        SumStatistics().Save(writer);
        writer.WriteUInt64((ulong)MediaErrors);
        writer.WriteUInt64((ulong)(Milliseconds - PowerOnTime));
        SaveNamespaces(writer);
    }

    public Errno TryRestoreState(ref DeviceStateReader reader)
    {
        if (reader.ReadUInt16() != StateForm)
        {
            return Errno.EPROTONOSUPPORT;
        }

        // What a reset takes back is changed at once, the rest when all of it was looked at.
        _isRunning = reader.ReadBoolean();
        PageSize = reader.ReadUInt32();
        _messagesPending = reader.ReadUInt32();
        bool isRight = uint.IsPow2(PageSize) && PageSize is >= 1 << ControllerCapabilities.MinPageShift and <= 1 << ControllerCapabilities.MaxPageShift;
        isRight = isRight && Features.TryRestore(ref reader, Milliseconds) && Events.TryRestore(ref reader);
        Changed.Restore(ref reader);
        if (!isRight || !TryRestoreQueues(ref reader))
        {
            PageSize = 1 << ControllerCapabilities.MinPageShift;
            return Errno.EINVAL;
        }

        DeviceStateReader logs = reader;
        new ErrorLog().Restore(ref reader);
        new IoStatistics().Restore(ref reader);
        ulong mediaErrors = reader.ReadUInt64();
        long age = (long)reader.ReadUInt64();
        Errno error = TryRestoreNamespaces(ref reader);
        if (error == Errno.None)
        {
            Errors.Restore(ref logs);
            Retired.Restore(ref logs);
            Interlocked.Exchange(ref _mediaErrors, (long)mediaErrors);
            PowerOnTime = Milliseconds - age;
        }

        return error;
    }

    /// <summary>The controller runs again. What came from elsewhere interrupts once for all that the host may not have heard of. State lock held.</summary>
    public void Continue(bool isRestored)
    {
        if (!isRestored)
        {
            return;
        }

        for (int i = 0; i < _submissions.Length; i++)
        {
            if (_submissions[i] is not null && SharedDoorbells is null)
            {
                _works[i]!.Schedule();
            }

            if (_completions[i] is { Interrupts: true, HasEntries: true } completions)
            {
                Interrupt(completions);
            }
        }

        if (SharedDoorbells is not null && _polled.Length != 0)
        {
            _poller!.Schedule();
        }

        ScheduleEvents();
    }

    /// <summary>Whether a queue may have so many entries.</summary>
    public bool IsQueueSize(int id, uint size) => id < _submissions.Length && size >= 2 && size <= (uint)(id == 0 ? MaxAdminEntries : _options.QueueEntries);

    private void SaveQueues(DeviceStateWriter writer)
    {
        writer.WriteBoolean(_shadow is not null);
        writer.WriteUInt64(_shadow?.Doorbells ?? 0);
        writer.WriteUInt64(_shadow?.Requests ?? 0);
        if (SharedDoorbells is { } doorbells)
        {
            writer.WriteBytes(doorbells.Slice(0, _submissions.Length * DoorbellBlock.Stride));
        }

        writer.WriteUInt16((ushort)_completions.Count(static queue => queue is not null));
        foreach (CompletionQueue? queue in _completions)
        {
            queue?.Save(writer);
        }

        writer.WriteUInt16((ushort)_submissions.Count(static queue => queue is not null));
        foreach (SubmissionQueue? queue in _submissions)
        {
            queue?.Save(writer);
        }
    }

    private bool TryRestoreQueues(ref DeviceStateReader reader)
    {
        bool hasShadow = reader.ReadBoolean();
        ulong doorbells = reader.ReadUInt64();
        ulong requests = reader.ReadUInt64();
        _shadow = hasShadow && OffersShadowDoorbells ? new ShadowDoorbells(doorbells, requests) : null;
        if (SharedDoorbells is { } shared)
        {
            reader.ReadBytes(_submissions.Length * DoorbellBlock.Stride).CopyTo(shared.Slice(0, _submissions.Length * DoorbellBlock.Stride));
        }

        for (int count = reader.ReadUInt16(); count > 0; count--)
        {
            if (CompletionQueue.TryRestore(this, ref reader) is not { } queue || FindCompletions((uint)queue.Id) is not null)
            {
                return false;
            }

            _completions[queue.Id] = queue;
        }

        for (int count = reader.ReadUInt16(); count > 0; count--)
        {
            int id = reader.ReadUInt16();
            uint size = reader.ReadUInt32();
            ulong address = reader.ReadUInt64();
            int priority = reader.ReadByte();
            CompletionQueue? completions = FindCompletions(reader.ReadUInt16());
            if (reader.IsBroken || !IsQueueSize(id, size) || priority > 3 || completions is null || FindSubmissions((uint)id) is not null || (id == 0) != (completions.Id == 0))
            {
                return false;
            }

            if (!Install(id, size, address, priority, completions).TryRestore(ref reader))
            {
                return false;
            }
        }

        // The admin queues are there while the controller runs and has not failed.
        return !reader.IsBroken && (FindSubmissions(0) is not null) == (FindCompletions(0) is not null) && (_isRunning || FindSubmissions(0) is null) && (FindSubmissions(0) is not null || !HasIoQueues);
    }

    /// <summary>Bytes that namespaces have in this process's memory, and nowhere else.</summary>
    private ulong MemoryLength()
    {
        ulong length = 0;
        foreach (NvmeNamespace? ns in _allocated)
        {
            length += ns is null ? 0 : NamespaceState.MemoryLength(ns);
        }

        return length;
    }
}

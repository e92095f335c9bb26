using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <summary>Asynchronous events and the host's requests for them (NVMe Base 2.0 §5.2): a request completes when there is an event, and no sooner.</summary>
/// <remarks>
/// Events of a type are held back from the time one is reported until the host has read its log page. What waits is bounded: a few
/// requests, and each event once. Its lock is taken inside the state lock and encloses nothing: completions are posted by a work,
/// since register handlers report events too.
/// </remarks>
internal sealed class EventQueue(NvmeController controller)
{
    /// <summary>Identify.AERL + 1: requests that the host may have outstanding.</summary>
    public const int Limit = 4;

    /// <summary>Identify.OAES and the bit of Asynchronous Event Configuration: Namespace Attribute Notices.</summary>
    public const uint NamespacesWanted = 1 << 8;

    private const uint TemperatureWanted = LogPages.TemperatureWarning;
    private const uint ReliabilityWanted = LogPages.ReliabilityWarning;

    private readonly Lock _lock = new();
    private readonly ushort[] _requests = new ushort[Limit];
    private readonly AsyncEvent[] _events = new AsyncEvent[5];
    private int _requestCount;
    private int _eventCount;

    /// <summary>Types that the host has been told of and has not acknowledged.</summary>
    private uint _heldTypes;

    /// <summary>Whether there are events and requests for them, so that room for a completion may be all that is missing.</summary>
    public bool IsWaiting => Volatile.Read(ref _requestCount) != 0 && Volatile.Read(ref _eventCount) != 0;

    /// <summary>Takes a request.</summary>
    /// <returns>False when there are as many as may be.</returns>
    public bool TryAdd(ushort commandId)
    {
        lock (_lock)
        {
            if (_requestCount == Limit)
            {
                return false;
            }

            _requests[_requestCount++] = commandId;
            return true;
        }
    }

    /// <summary>Gives a request back.</summary>
    /// <returns>False when there is none with this identifier.</returns>
    public bool TryRemove(ushort commandId)
    {
        lock (_lock)
        {
            int found = _requests.AsSpan(0, _requestCount).IndexOf(commandId);
            if (found < 0)
            {
                return false;
            }

            _requests.AsSpan(found + 1, _requestCount - found - 1).CopyTo(_requests.AsSpan(found));
            _requestCount--;
            return true;
        }
    }

    /// <summary>An event has happened. Any thread; the same event waits once.</summary>
    public void Report(AsyncEvent happened)
    {
        lock (_lock)
        {
            if (_eventCount < _events.Length && _events.AsSpan(0, _eventCount).IndexOf(happened) < 0)
            {
                _events[_eventCount++] = happened;
            }
        }

        controller.ScheduleEvents();
    }

    /// <summary>Reports an event of the kinds that the host chooses among (Asynchronous Event Configuration), if it wants it.</summary>
    public void ReportIfWanted(AsyncEvent happened)
    {
        uint wanted = happened switch
        {
            AsyncEvent.TemperatureThreshold => TemperatureWanted,
            AsyncEvent.ReliabilityDegraded => ReliabilityWanted,
            _ => NamespacesWanted,
        };
        if ((controller.Features.AsyncEvents & wanted) != 0)
        {
            Report(happened);
        }
    }

    /// <summary>The host has read a log page: events of the types that it belongs to may be reported again.</summary>
    public void Acknowledge(byte logPage)
    {
        lock (_lock)
        {
            _heldTypes &= logPage switch
            {
                0x01 => ~1U,
                0x02 => ~2U,
                0x04 => ~4U,
                _ => ~0U,
            };
        }

        controller.ScheduleEvents();
    }

    /// <summary>Completes requests while there are events, and room for completions. Run by one thread at a time, without a lock.</summary>
    public void Post()
    {
        if (controller.FindCompletions(0) is not { } completions)
        {
            return;
        }

        if (!controller.IsBusMaster)
        {
            return;
        }

        bool posted = false;
        while (completions.Reserve(1) == 1)
        {
            if (!TryTake(out AsyncEvent happened, out ushort request))
            {
                controller.Release(completions, 1);
                break;
            }

            ushort head = (ushort)(controller.FindSubmissions(0)?.Head ?? 0);
            if (completions.Post(new CompletionEntry((uint)happened, 0, head, submissionQueue: 0, request, NvmeStatus.Success)) != Errno.None)
            {
                controller.Fail("a completion queue cannot be written");
                return;
            }

            posted = true;
        }

        if (posted)
        {
            controller.Notify(completions);
        }
    }

    /// <summary>Forgets everything, as a reset does.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            _requestCount = 0;
            _eventCount = 0;
            _heldTypes = 0;
        }
    }

    /// <summary>Writes requests, events, and what is held back.</summary>
    public void Save(DeviceStateWriter writer)
    {
        lock (_lock)
        {
            writer.WriteByte((byte)_requestCount);
            foreach (ushort request in _requests.AsSpan(0, _requestCount))
            {
                writer.WriteUInt16(request);
            }

            writer.WriteByte((byte)_eventCount);
            foreach (AsyncEvent happened in _events.AsSpan(0, _eventCount))
            {
                writer.WriteUInt32((uint)happened);
            }

            writer.WriteUInt32(_heldTypes);
        }
    }

    /// <summary>Takes what <see cref="Save"/> wrote.</summary>
    /// <returns>False when there cannot be so many, or not such.</returns>
    public bool TryRestore(ref DeviceStateReader reader)
    {
        lock (_lock)
        {
            int requests = reader.ReadByte();
            if (requests > Limit)
            {
                return false;
            }

            for (int i = 0; i < requests; i++)
            {
                _requests[i] = reader.ReadUInt16();
            }

            int events = reader.ReadByte();
            if (events > _events.Length)
            {
                return false;
            }

            for (int i = 0; i < events; i++)
            {
                _events[i] = (AsyncEvent)reader.ReadUInt32();
                if (_events[i] is not (AsyncEvent.InvalidDoorbellRegister or AsyncEvent.InvalidDoorbellValue or AsyncEvent.TemperatureThreshold or AsyncEvent.ReliabilityDegraded or AsyncEvent.NamespaceAttributeChanged))
                {
                    return false;
                }
            }

            _requestCount = requests;
            _eventCount = events;
            _heldTypes = reader.ReadUInt32();
            return !reader.IsBroken;
        }
    }

    private static uint Bit(AsyncEvent happened) => 1U << (int)((uint)happened & 7);

    private bool TryTake(out AsyncEvent happened, out ushort request)
    {
        lock (_lock)
        {
            int found = FindEvent();
            if (_requestCount == 0 || found < 0)
            {
                happened = default;
                request = 0;
                return false;
            }

            happened = _events[found];
            _events.AsSpan(found + 1, _eventCount - found - 1).CopyTo(_events.AsSpan(found));
            _eventCount--;
            _heldTypes |= Bit(happened);
            request = _requests[0];
            _requests.AsSpan(1, _requestCount - 1).CopyTo(_requests);
            _requestCount--;
            return true;
        }
    }

    private int FindEvent()
    {
        for (int i = 0; i < _eventCount; i++)
        {
            if ((_heldTypes & Bit(_events[i])) == 0)
            {
                return i;
            }
        }

        return -1;
    }
}

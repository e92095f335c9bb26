using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>Waits for a few descriptors without allocating and without a loop of its own (<c>poll(2)</c>).</summary>
public static class Poll
{
    /// <summary>The most descriptors of one wait; more are a case for <see cref="EventLoop"/>.</summary>
    public const int MaximumCount = 256;

    /// <summary>Waits for one descriptor.</summary>
    /// <param name="descriptor">The descriptor.</param>
    /// <param name="events">What to wait for.</param>
    /// <param name="timeoutMilliseconds">The longest time to wait; 0 only looks, -1 waits for ever.</param>
    /// <returns>The events found as a number (<see cref="EventLoopEvents"/>), 0 after the time-out.</returns>
    public static IoResult Wait(FileDescriptor descriptor, EventLoopEvents events, int timeoutMilliseconds)
    {
        PollRequest request = new(descriptor, events);
        IoResult result = Wait(new Span<PollRequest>(ref request), timeoutMilliseconds);
        return result.IsError ? result : IoResult.Success((long)request.Ready);
    }

    /// <summary>Waits until one of several descriptors is ready, and notes in each request what was found.</summary>
    /// <param name="requests">The descriptors, at most <see cref="MaximumCount"/>.</param>
    /// <param name="timeoutMilliseconds">The longest time to wait; 0 only looks, -1 waits for ever.</param>
    /// <returns>How many are ready, 0 after the time-out; EINVAL for too many requests.</returns>
    public static unsafe IoResult Wait(Span<PollRequest> requests, int timeoutMilliseconds)
    {
        if (requests.Length > MaximumCount)
        {
            return Errno.EINVAL;
        }

        Interop.PollEntry* entries = stackalloc Interop.PollEntry[requests.Length];
        int referenced = 0;
        try
        {
            for (; referenced < requests.Length; referenced++)
            {
                bool added = false;
                requests[referenced].Descriptor.DangerousAddRef(ref added);
                entries[referenced] = new Interop.PollEntry
                {
                    Descriptor = requests[referenced].Descriptor.Number,
                    Events = (short)requests[referenced].Events,
                };
            }

            long deadline = timeoutMilliseconds > 0 ? Environment.TickCount64 + timeoutMilliseconds : 0;
            int remaining = timeoutMilliseconds;
            while (true)
            {
                // SAFETY: as many entries as are passed; the descriptors are kept open by the references above.
                int count = Interop.PollDescriptors(entries, (nuint)requests.Length, remaining);
                if (count >= 0)
                {
                    for (int i = 0; i < requests.Length; i++)
                    {
                        requests[i].Ready = (EventLoopEvents)(ushort)entries[i].Ready;
                    }

                    return IoResult.Success(count);
                }

                Errno error = Interop.LastError;
                if (error != Errno.EINTR)
                {
                    return error;
                }

                if (timeoutMilliseconds > 0)
                {
                    remaining = (int)Math.Max(0, deadline - Environment.TickCount64);
                }
            }
        }
        finally
        {
            for (int i = 0; i < referenced; i++)
            {
                requests[i].Descriptor.DangerousRelease();
            }
        }
    }
}

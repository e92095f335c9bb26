using System.Diagnostics;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.User;

/// <summary>Looks for what arrives on a socket before its thread sleeps there, for as long as that has paid. Belongs to the thread that receives.</summary>
/// <param name="reader">Takes in what arrives.</param>
/// <param name="longest">As <see cref="VfioUserServerOptions.BusyPoll"/>.</param>
/// <param name="threads">The threads that serve clients now.</param>
internal sealed class BusyPoll(MessageReader reader, TimeSpan longest, WorkerThreads threads)
{
    private readonly bool _isOff = longest == TimeSpan.Zero;
    private SpinBudget _budget = new(longest);

    /// <summary>Looks for as long as it pays and the limit allows, and not at all where it does not.</summary>
    /// <param name="limit">The most.</param>
    /// <param name="when">As <see cref="MessageReader.Look"/>.</param>
    /// <returns>What the receive gave; null when nothing came: the caller sleeps.</returns>
    public IoResult? Look(TimeSpan limit, TakeTime when)
    {
        TimeSpan budget = _budget.Budget;
        if (budget < TimeSpan.MaxValue && threads.Busy > Environment.ProcessorCount)
        {
            // Who looks keeps another from working.
            budget = TimeSpan.Zero;
        }

        budget = limit < budget ? limit : budget;
        if (budget <= TimeSpan.Zero)
        {
            // The receive that sleeps finds what is there as well, and is one call.
            return null;
        }

        IoResult received = reader.Look(when);
        if (received.Error != Errno.EAGAIN)
        {
            return received;
        }

        long started = Stopwatch.GetTimestamp();
        TimeSpan elapsed = TimeSpan.Zero;
        while (elapsed < budget)
        {
            received = reader.Look(when);
            elapsed = Stopwatch.GetElapsedTime(started);
            if (received.Error != Errno.EAGAIN)
            {
                _budget.Found();
                return received;
            }
        }

        return null;
    }

    /// <summary>The thread is about to sleep until something arrives.</summary>
    /// <returns>For <see cref="EndSleep"/>.</returns>
    public long BeginSleep() => _isOff ? 0 : Stopwatch.GetTimestamp();

    /// <summary>It has slept.</summary>
    /// <param name="begin">What <see cref="BeginSleep"/> returned.</param>
    public void EndSleep(long begin)
    {
        if (!_isOff)
        {
            _budget.Slept(Stopwatch.GetElapsedTime(begin));
        }
    }
}

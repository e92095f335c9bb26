using System.Runtime.InteropServices;

namespace Vfio.Linux;

/// <summary>
/// Gets threads out of a write to an eventfd that waits because a peer, which shares the open file, took its non-blocking mode away and filled the
/// counter. No call of Linux adds to an eventfd and promises not to wait, so it is interrupted: by a signal that does nothing.
/// </summary>
/// <remarks>
/// <para>
/// A thread notes the beginning and the end of each write in a slot of its own. A timer looks at the slots, only while there are writes; a write that it
/// sees twice is interrupted, and again at each later look, should the first signal have come just before the thread entered the kernel. A thread
/// that merely was not scheduled for so long gets the signal too, which changes nothing: a write that does not wait does not end with EINTR.
/// </para>
/// <para>
/// It belongs to the process, as signals do. The signal is SIGURG, with a function of the C library as its handler, so that no managed code runs in it. A
/// process that has a handler of its own for SIGURG keeps it, and is watched by it when that handler does not ask for calls to be restarted.
/// The lock is a leaf.
/// </para>
/// </remarks>
internal sealed class WriteWatch
{
    /// <summary>The longest time of a write is about twice this.</summary>
    internal const int PeriodMilliseconds = 100;

    [ThreadStatic]
    private static Slot? s_own;

    private static readonly WriteWatch s_watch = new();
    private readonly Lock _lock = new();
    private readonly List<WeakReference<Slot>> _slots = [];
    private readonly Timer _timer;
    private bool _isInstalled;
    private int _isArmed;

    private WriteWatch() => _timer = new Timer(static watch => ((WriteWatch)watch!).Look(), this, Timeout.Infinite, Timeout.Infinite);

    /// <summary>Whether a write that waits is interrupted; not in a process without a C library that is linked dynamically.</summary>
    internal static bool CanInterrupt
    {
        get
        {
            lock (s_watch._lock)
            {
                return s_watch._isInstalled = s_watch._isInstalled || Install();
            }
        }
    }

    /// <summary>This thread is about to write.</summary>
    /// <returns>What <see cref="End"/> and <see cref="IsInterrupted"/> take.</returns>
    internal static Slot Begin()
    {
        Slot slot = s_own ??= s_watch.Add();

        // A full fence: the number is seen by a look that follows the one which disarmed.
        Interlocked.Increment(ref slot.Number);
        if (Volatile.Read(ref s_watch._isArmed) == 0)
        {
            s_watch.Arm();
        }

        return slot;
    }

    /// <summary>It has written, or given up.</summary>
    internal static void End(Slot slot) => Volatile.Write(ref slot.Number, slot.Number + 1);

    /// <summary>Whether the EINTR of the write under way is this watch's.</summary>
    internal static bool IsInterrupted(Slot slot) => Volatile.Read(ref slot.Interrupted) == slot.Number;

    private Slot Add()
    {
        Slot slot = new((int)ThreadId());
        lock (_lock)
        {
            _isInstalled = _isInstalled || Install();
            _slots.Add(new WeakReference<Slot>(slot));
        }

        return slot;
    }

    private void Arm()
    {
        if (Interlocked.Exchange(ref _isArmed, 1) == 0)
        {
            _timer.Change(PeriodMilliseconds, Timeout.Infinite);
        }
    }

    private void Look()
    {
        lock (_lock)
        {
            if (!LookAtAll())
            {
                Interlocked.Exchange(ref _isArmed, 0);

                // Who began meanwhile may have seen that it was armed.
                if (!LookAtAll())
                {
                    return;
                }

                Interlocked.Exchange(ref _isArmed, 1);
            }
        }

        _timer.Change(PeriodMilliseconds, Timeout.Infinite);
    }

    /// <returns>Whether anybody wrote since the last look.</returns>
    private bool LookAtAll()
    {
        bool any = false;
        for (int i = _slots.Count - 1; i >= 0; i--)
        {
            if (!_slots[i].TryGetTarget(out Slot? slot))
            {
                // Its thread has ended.
                _slots[i] = _slots[^1];
                _slots.RemoveAt(_slots.Count - 1);
                continue;
            }

            long number = Volatile.Read(ref slot.Number);
            bool writes = (number & 1) != 0;
            if (writes && number == slot.Seen)
            {
                Volatile.Write(ref slot.Interrupted, number);
                Interrupt(slot.Thread);
            }

            any |= writes || number != slot.Seen;
            slot.Seen = number;
        }

        return any;
    }

    private static unsafe nint ThreadId() => Interop.SystemCall(Interop.CallGetThreadId, 0, null, 0, 0);

    // SAFETY: three numbers; no memory is passed. A thread that has ended is an error and nothing else.
    private static unsafe void Interrupt(int thread) => _ = Interop.SystemCall(Interop.CallSignalThread, Environment.ProcessId, (void*)thread, Interop.SignalUrgent, 0);

    /// <summary>Gives the signal a handler, without which it would interrupt nothing.</summary>
    /// <returns>False when the process has no function to give, as without a C library that is linked dynamically.</returns>
    private static unsafe bool Install()
    {
        byte* action = stackalloc byte[Interop.SignalActionSize];
        new Span<byte>(action, Interop.SignalActionSize).Clear();

        // SAFETY: room for any C library's structure.
        if (Interop.SetSignalAction(Interop.SignalUrgent, null, action) != 0)
        {
            return false;
        }

        nint handler = *(nint*)action;
        if (handler is not (Interop.SignalDefault or Interop.SignalIgnore))
        {
            return true;
        }

        if (!NativeLibrary.TryGetExport(NativeLibrary.GetMainProgramHandle(), "getppid", out nint harmless))
        {
            return false;
        }

        // SAFETY: as above. The handler is a function that takes nothing, touches nothing and sets no errno; the number that it is passed lies in a register.
        // No SA_RESTART among the flags, and an empty mask.
        new Span<byte>(action, Interop.SignalActionSize).Clear();
        *(nint*)action = harmless;
        return Interop.SetSignalAction(Interop.SignalUrgent, action, null) == 0;
    }

    /// <summary>A thread's writes.</summary>
    internal sealed class Slot(int thread)
    {
        /// <summary>Odd while it writes.</summary>
        internal long Number;

        /// <summary>The number of the write that was interrupted last.</summary>
        internal long Interrupted;

        /// <summary>The number at the last look; the watch's.</summary>
        internal long Seen;

        internal int Thread { get; } = thread;
    }
}

using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>A process by descriptor (<c>pidfd</c>): its number can't become another's meanwhile.</summary>
internal sealed class ProcessDescriptor : IDisposable
{
    private readonly FileDescriptor _descriptor;

    private ProcessDescriptor(int processId, FileDescriptor descriptor)
    {
        ProcessId = processId;
        _descriptor = descriptor;
    }

    public int ProcessId { get; }

    /// <summary>Readable once the process has ended.</summary>
    public FileDescriptor Descriptor => _descriptor;

    public static Errno TryOpen(int processId, out ProcessDescriptor? process)
    {
        FileDescriptor descriptor = new(-1, ownsHandle: true);
        nint fd = Interop.SystemCall(Interop.CallProcessDescriptorOpen, processId, 0, 0, 0);
        if (fd < 0)
        {
            Errno error = Interop.LastError;
            descriptor.Dispose();
            process = null;
            return error;
        }

        process = new ProcessDescriptor(processId, FileDescriptor.Own(descriptor, (int)fd));
        return Errno.None;
    }

    /// <summary>Takes a copy of one of its descriptors.</summary>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EBADF"/>; <see cref="Errno.ESRCH"/> for a process that is gone; <see cref="Errno.EPERM"/>.</returns>
    public Errno TryGetFile(int number, out FileDescriptor? file)
    {
        FileDescriptor descriptor = new(-1, ownsHandle: true);
        nint fd = Interop.SystemCall(Interop.CallProcessDescriptorGetFile, _descriptor.Number, number, 0, 0);
        if (fd < 0)
        {
            Errno error = Interop.LastError;
            descriptor.Dispose();
            file = null;
            return error;
        }

        file = FileDescriptor.Own(descriptor, (int)fd);
        return Errno.None;
    }

    public Errno TrySignal(int signal)
        => Interop.SystemCall(Interop.CallProcessDescriptorSignal, _descriptor.Number, signal, 0, 0) < 0 ? Interop.LastError : Errno.None;

    /// <summary>Waits for the end of a child. Any thread, but only one.</summary>
    /// <param name="status">The exit status, or 128 and the number of the signal that ended it.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.ECHILD"/> when somebody else has taken its status.</returns>
    public unsafe Errno TryWait(out int status)
    {
        const int Exited = 1;

        // Waiting for a child that a thread of this process traces takes its stops away from that thread: it has ended before anybody waits.
        IoResult ended = Poll.Wait(_descriptor, EventLoopEvents.Read, Timeout.Infinite);
        if (ended.IsError)
        {
            status = -1;
            return ended.Error;
        }

        while (true)
        {
            Interop.SignalInformation information = default;

            // SAFETY: the structure is a local with the size of siginfo_t.
            if (Interop.WaitId(Interop.WaitForProcessDescriptor, _descriptor.Number, &information, Interop.WaitExited | Interop.WaitNoThread) == 0)
            {
                status = information.Code == Exited ? information.Status : 128 + (information.Status & 0x7F);
                return Errno.None;
            }

            Errno error = Interop.LastError;
            if (error != Errno.EINTR)
            {
                status = -1;
                return error;
            }
        }
    }

    public void Dispose() => _descriptor.Dispose();
}

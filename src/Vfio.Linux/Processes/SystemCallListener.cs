using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>A system call that waits for an answer.</summary>
internal struct SystemCallNotice
{
    private Interop.SeccompNotification _raw;

    /// <summary>Names it in the answer.</summary>
    public readonly ulong Id => _raw.Id;

    /// <summary>The thread that made it.</summary>
    public readonly int ThreadId => _raw.ThreadId;

    public readonly int Number => _raw.Number;

    public readonly unsafe ulong this[int index] => _raw.Arguments[index];

    [UnscopedRef]
    internal ref Interop.SeccompNotification Raw => ref _raw;
}

/// <summary>The supervisor's end of a seccomp filter: receives system calls and answers them. Any thread.</summary>
/// <remarks>seccomp_unotify(2). Answers for a thread that is gone are dropped.</remarks>
internal sealed unsafe class SystemCallListener : IDisposable
{
    private readonly FileDescriptor _descriptor;

    public SystemCallListener(FileDescriptor descriptor)
    {
        _descriptor = descriptor;

        // The thread that waits and the one that answers are never busy at once: let them share a processor. Kernels before 6.6 don't have it.
        _ = Interop.Ioctl(descriptor, Interop.SeccompSetFlags, (nint)Interop.SeccompSynchronousWakeUp);
    }

    /// <summary>Hangs up once no thread is left that the filter applies to.</summary>
    public FileDescriptor Descriptor => _descriptor;

    /// <summary>Waits for a call.</summary>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.ENOENT"/> when the caller went away meanwhile (ask again), or everybody has.</returns>
    public Errno TryReceive(out SystemCallNotice notice)
    {
        while (true)
        {
            notice = default;

            // SAFETY: the structure is zeroed and has the size that the request's number says.
            if (Interop.Ioctl(_descriptor, Interop.SeccompReceive, (nint)Unsafe.AsPointer(ref notice.Raw)) == 0)
            {
                return Errno.None;
            }

            Errno error = Interop.LastError;
            if (error != Errno.EINTR)
            {
                return error;
            }
        }
    }

    /// <summary>Answers with a value.</summary>
    public void Answer(ulong id, long value) => Send(new Interop.SeccompResponse { Id = id, Value = value });

    /// <summary>Answers with an error.</summary>
    public void Fail(ulong id, Errno error) => Send(new Interop.SeccompResponse { Id = id, Error = -(int)error });

    /// <summary>Lets the kernel execute the call.</summary>
    public void Continue(ulong id) => Send(new Interop.SeccompResponse { Id = id, Flags = Interop.SeccompContinue });

    /// <summary>Gives the caller a descriptor.</summary>
    /// <param name="id">The call.</param>
    /// <param name="file">The file; the caller gets a duplicate.</param>
    /// <param name="number">The number that it gets; what is open there is closed.</param>
    /// <param name="closeOnExec">Whether it is closed when another program is executed.</param>
    /// <returns>The number, or what the kernel said: <see cref="Errno.EMFILE"/>, or <see cref="Errno.ENOENT"/> when the caller is gone.</returns>
    public IoResult TryGive(ulong id, FileDescriptor file, int number, bool closeOnExec)
    {
        Interop.SeccompFile request = new()
        {
            Id = id,
            Flags = Interop.SeccompAddFileSetNumber,
            Source = file.Number,
            Number = number,
            NumberFlags = closeOnExec ? (uint)Interop.OpenCloseOnExec : 0,
        };
        return Give(&request, file);
    }

    /// <summary>Gives the caller a descriptor under the lowest free number, as open(2) does.</summary>
    /// <returns>As for the other one.</returns>
    public IoResult TryGive(ulong id, FileDescriptor file, bool closeOnExec)
    {
        Interop.SeccompFile request = new() { Id = id, Source = file.Number, NumberFlags = closeOnExec ? (uint)Interop.OpenCloseOnExec : 0 };
        return Give(&request, file);
    }

    public void Dispose() => _descriptor.Dispose();

    private IoResult Give(Interop.SeccompFile* request, FileDescriptor file)
    {
        while (true)
        {
            IoResult result = Interop.ToResult(Interop.Ioctl(_descriptor, Interop.SeccompAddFile, (nint)request));
            if (result.Error is not (Errno.EINTR or Errno.EINPROGRESS))
            {
                GC.KeepAlive(file);
                return result;
            }
        }
    }

    private void Send(Interop.SeccompResponse response) => _ = Interop.Ioctl(_descriptor, Interop.SeccompSend, (nint)(&response));
}

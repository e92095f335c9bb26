using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>A FIFO that has a byte in it while a file is readable, so that a program can poll what stands for the file.</summary>
internal sealed class ReadinessFifo : IDisposable
{
    private readonly Lock _lock = new();
    private readonly VfioFile _file;
    private readonly FileDescriptor _end;
    private bool _isReadable;
    private bool _isDisposed;

    private ReadinessFifo(VfioFile file, FileDescriptor end)
    {
        _file = file;
        _end = end;
    }

    public static Errno TryCreate(string path, VfioFile file, out FileDescriptor? standIn, out ReadinessFifo? fifo)
    {
        standIn = null;
        fifo = null;
        if (Interop.MakeFifo(path, 0x180) != 0)
        {
            return Interop.LastError;
        }

        Errno error = FileDescriptor.TryOpen(path, OpenMode.ReadWrite | OpenMode.NonBlocking, out FileDescriptor? end);
        error = error != Errno.None ? error : FileDescriptor.TryOpen(path, OpenMode.ReadWrite, out standIn);
        System.IO.File.Delete(path);
        if (error != Errno.None)
        {
            end?.Dispose();
            return error;
        }

        fifo = new ReadinessFifo(file, end!);
        file.ReadinessChanged += fifo.Update;
        fifo.Update();
        return Errno.None;
    }

    /// <summary>Makes the FIFO as ready as the file is now.</summary>
    public void Update()
    {
        lock (_lock)
        {
            bool isReadable = (_file.Readiness & EventLoopEvents.Read) != 0;
            if (_isDisposed || isReadable == _isReadable)
            {
                return;
            }

            _isReadable = isReadable;
            Span<byte> one = stackalloc byte[1];
            _ = isReadable ? _end.Write(one) : _end.Read(one);
        }
    }

    public void Dispose()
    {
        _file.ReadinessChanged -= Update;
        lock (_lock)
        {
            _isDisposed = true;
            _end.Dispose();
        }
    }
}

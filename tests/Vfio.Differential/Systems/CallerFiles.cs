using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Differential;

/// <summary>The descriptors of the core's caller. Numbers of our files are far above those that this process has of the running kernel.</summary>
internal sealed class CallerFiles : FileTable, IDisposable
{
    private const int First = 100_000;
    private readonly Dictionary<int, object> _files = [];
    private int _next = First;

    public override Errno TryGet(int number, out object? file) => _files.TryGetValue(number, out file) ? Errno.None : Errno.EBADF;

    public override IoResult Install(object file)
    {
        _files.Add(_next, file);
        return IoResult.Success(_next++);
    }

    public override void Remove(int number) => _files.Remove(number);

    /// <summary>Notes a descriptor that is the test's.</summary>
    public int Adopt(FileDescriptor descriptor)
    {
        _files[descriptor.Number] = descriptor;
        return descriptor.Number;
    }

    public Errno Close(int number)
    {
        if (!_files.Remove(number, out object? file))
        {
            return Errno.EBADF;
        }

        (file as VfioFile)?.Dispose();
        return Errno.None;
    }

    public void Dispose()
    {
        foreach (int number in _files.Keys.OrderDescending().ToArray())
        {
            Close(number);
        }
    }
}

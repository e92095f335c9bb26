using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.TestUtilities;

/// <summary>A limit of another process (<c>prlimit(2)</c>) that is lower than it was, until this is disposed.</summary>
public sealed partial class ResourceLimit : IDisposable
{
    /// <summary>RLIMIT_FSIZE: bytes of the longest file that can be written.</summary>
    public const int FileSize = 1;

    /// <summary>RLIMIT_AS: bytes of address space.</summary>
    public const int AddressSpace = 9;

    private readonly int _process;
    private readonly int _resource;
    private readonly Limits _before;

    private ResourceLimit(int process, int resource, Limits before)
    {
        _process = process;
        _resource = resource;
        _before = before;
    }

    /// <summary>Lowers one.</summary>
    /// <param name="process">The process.</param>
    /// <param name="resource">Which limit.</param>
    /// <param name="limit">Its new value.</param>
    /// <exception cref="InvalidOperationException">The system refuses.</exception>
    public static unsafe ResourceLimit Lower(int process, int resource, ulong limit)
    {
        Limits before = default;
        Check(SetLimit(process, resource, null, &before));
        Limits low = before with { Current = limit };
        Check(SetLimit(process, resource, &low, null));
        return new ResourceLimit(process, resource, before);
    }

    /// <inheritdoc/>
    public unsafe void Dispose()
    {
        // The process may have gone.
        Limits before = _before;
        _ = SetLimit(_process, _resource, &before, null);
    }

    private static void Check(int result)
    {
        if (result != 0)
        {
            throw new InvalidOperationException($"prlimit: {(Errno)Marshal.GetLastPInvokeError()}");
        }
    }

    [LibraryImport("libc", EntryPoint = "prlimit", SetLastError = true)]
    private static unsafe partial int SetLimit(int process, int resource, Limits* wanted, Limits* before);

    [StructLayout(LayoutKind.Sequential)]
    private record struct Limits(ulong Current, ulong Maximum);
}

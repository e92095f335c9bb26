using System.Globalization;
using System.Runtime.InteropServices;

namespace Vfio.Linux.Tests;

/// <summary>Lowers this process's limit of open descriptors so that only a few more can be opened, until it is disposed.</summary>
internal sealed partial class DescriptorLimit : IDisposable
{
    private const int ResourceDescriptors = 7;
    private readonly Limits _before;
    private readonly List<FileDescriptor> _fillers = [];

    private DescriptorLimit(Limits before)
    {
        _before = before;
    }

    /// <summary>Fills the gaps below the highest number in use and sets the limit so that <paramref name="count"/> numbers are free.</summary>
    public static DescriptorLimit LeaveRoomFor(int count)
    {
        Assert.Equal(0, GetLimits(ResourceDescriptors, out Limits before));
        DescriptorLimit result = new(before);
        int highest = Directory.GetFiles("/proc/self/fd").Max(path => int.Parse(Path.GetFileName(path), CultureInfo.InvariantCulture));
        using MemFd source = new("filler", 0);
        while (true)
        {
            FileDescriptor filler = source.Descriptor.Duplicate();
            result._fillers.Add(filler);
            if (filler.Number > highest)
            {
                break;
            }
        }

        // `source` itself frees one number below the limit when this method returns: keep a filler there as well.
        result._fillers.Add(source.Descriptor.Duplicate());
        int top = result._fillers[^1].Number;
        source.Dispose();
        Limits low = before;
        low.Current = (ulong)(top + count);
        Assert.Equal(0, SetLimits(ResourceDescriptors, in low));
        return result;
    }

    public void Dispose()
    {
        Assert.Equal(0, SetLimits(ResourceDescriptors, in _before));
        foreach (FileDescriptor filler in _fillers)
        {
            filler.Dispose();
        }
    }

    [LibraryImport("libc", EntryPoint = "getrlimit")]
    private static partial int GetLimits(int resource, out Limits limits);

    [LibraryImport("libc", EntryPoint = "setrlimit")]
    private static partial int SetLimits(int resource, in Limits limits);

    [StructLayout(LayoutKind.Sequential)]
    private struct Limits
    {
        public ulong Current;
        public ulong Maximum;
    }
}

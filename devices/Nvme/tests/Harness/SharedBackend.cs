using Vfio.Abi;

namespace Vfio.Devices.Nvme.Tests.Harness;

/// <summary>Storage that two controllers have open, as they have a file or a volume on another machine.</summary>
internal sealed class SharedBackend(MemoryBackend storage) : INvmeBackend
{
    public ulong Length => storage.Length;

    public bool MayWait => true;

    public bool HasVolatileCache => true;

    public bool IsReadOnly => false;

    /// <summary>Whether it takes writes: not when another controller has them.</summary>
    public bool IsFenced { get; set; }

    public Errno FlushFailure { get; set; }

    public Errno Read(ulong offset, Span<byte> destination) => storage.Read(offset, destination);

    public Errno Write(ulong offset, ReadOnlySpan<byte> source) => IsFenced ? Errno.EIO : storage.Write(offset, source);

    public Errno Flush() => FlushFailure;

    public Errno Clear(ulong offset, ulong length) => IsFenced ? Errno.EIO : storage.Clear(offset, length);

    public void Dispose()
    {
    }
}

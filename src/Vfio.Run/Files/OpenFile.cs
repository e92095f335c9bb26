using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>A file of the core that programs have open: what stands for it in their descriptor tables, and what it is.</summary>
/// <remarks>
/// The stand-in is an empty memory file, or a FIFO for files that become readable. Each open has its own, so that its inode names the open in whatever process
/// and under whatever number it turns up.
/// </remarks>
internal sealed class OpenFile : IDisposable
{
    private int _disposed;

    public OpenFile(VfioFile file, string path, FileIdentity identity, int watch)
    {
        File = file;
        Path = path;
        Identity = identity;
        Watch = watch;
        Device = file as VfioDeviceFile;
        Context = file is IommufdContext context ? new ContextMemory(context) : null;
    }

    public VfioFile File { get; }

    /// <summary>The file as a device's; null for other kinds.</summary>
    public VfioDeviceFile? Device { get; }

    /// <summary>Its name, for the trace and for readlink.</summary>
    public string Path { get; }

    public FileIdentity Identity { get; }

    /// <summary>The number that its last close is told by.</summary>
    public int Watch { get; }

    /// <summary>What keeps the stand-in's readiness as the file's; null for stand-ins that are always ready.</summary>
    public ReadinessFifo? Readiness { get; init; }

    /// <summary>The parts of the device's regions that are memory; null until the program has asked for a region that has some.</summary>
    public DeviceMemory? Memory { get; set; }

    /// <summary>What can be mapped of an iommufd context; null for other kinds.</summary>
    public ContextMemory? Context { get; }

    /// <summary>Where read and write without a position go on.</summary>
    public ulong Position { get; set; }

    /// <summary>Set when the file was taken back: the stand-in is worth nothing then.</summary>
    public bool IsDead => Volatile.Read(ref _disposed) != 0;

    /// <summary>Closes the file: the last descriptor is gone.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            Readiness?.Dispose();
            Memory?.Dispose();
            Context?.Dispose();
            File.Dispose();
        }
    }

    /// <summary>Gives the file back to its maker, open.</summary>
    public void Release()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            Readiness?.Dispose();
            Memory?.Dispose();
            Context?.Dispose();
        }
    }
}

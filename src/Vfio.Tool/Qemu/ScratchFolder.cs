namespace Vfio.Tool.Qemu;

/// <summary>A folder of a test's own, short enough for the paths of UNIX sockets (108 bytes), deleted at the end.</summary>
public sealed class ScratchFolder : IDisposable
{
    public ScratchFolder() => Path = Directory.CreateTempSubdirectory("vfio-qemu-").FullName;

    public string Path { get; }

    /// <summary>The path of a file in this folder.</summary>
    public string File(string name) => System.IO.Path.Combine(Path, name);

    public void Dispose()
    {
        try
        {
            Directory.Delete(Path, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
            // Disposed twice.
        }
    }
}

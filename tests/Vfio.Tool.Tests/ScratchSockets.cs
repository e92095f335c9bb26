namespace Vfio.Tool.Tests;

/// <summary>A short folder for sockets, deleted at the end.</summary>
internal sealed class ScratchSockets : IDisposable
{
    public string Folder { get; } = Directory.CreateTempSubdirectory("vt-").FullName;

    public string this[string name] => Path.Combine(Folder, name);

    /// <summary>What is in the folder.</summary>
    public string[] Entries => [.. Directory.GetFileSystemEntries(Folder).Select(static path => Path.GetFileName(path)!).Order(StringComparer.Ordinal)];

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}

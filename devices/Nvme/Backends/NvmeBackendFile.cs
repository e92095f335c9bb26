namespace Vfio.Devices.Nvme;

/// <summary>A file that a backend opens: what a sandbox must leave to it.</summary>
/// <param name="Path">The file, or a UNIX socket.</param>
/// <param name="IsReadOnly">Whether it is only read.</param>
public readonly record struct NvmeBackendFile(string Path, bool IsReadOnly);

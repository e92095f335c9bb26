namespace Vfio.Linux;

/// <summary>A place that a process in a sandbox may reach.</summary>
/// <param name="Path">A file, or a folder with all that is beneath it.</param>
/// <param name="Access">What it may do there.</param>
public readonly record struct SandboxPath(string Path, SandboxAccess Access);

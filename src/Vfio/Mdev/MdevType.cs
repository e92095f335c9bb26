namespace Vfio;

/// <summary>A kind of mediated device that a parent offers (<c>mdev_type</c>).</summary>
/// <param name="SysfsName">The second half of its directory's name; the first is the parent driver's.</param>
/// <param name="PrettyName">What people read, or null.</param>
public sealed record MdevType(string SysfsName, string? PrettyName = null);

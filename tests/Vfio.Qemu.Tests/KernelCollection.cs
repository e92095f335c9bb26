namespace Vfio.Qemu.Tests;

/// <summary>
/// Tests whose guests run programs of ours on their own VFIO: one after the other, beside those of <see cref="GuestCollection"/>, since each guest
/// keeps one processor busy.
/// </summary>
[CollectionDefinition(Name)]
public sealed class KernelCollection
{
    public const string Name = "kernel";
}

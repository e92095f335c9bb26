using Vfio.Iommu;

namespace Vfio.Run;

/// <summary>What a <see cref="ProgramSupervisor"/> runs, and how.</summary>
public sealed record RunOptions
{
    /// <summary>The program, looked up in PATH when it has no slash, and its arguments.</summary>
    public required IReadOnlyList<string> Program { get; init; }

    /// <summary>The executable, with arguments where it needs some, that calls <see cref="ProgramStub.Run"/> when it is given <see cref="ProgramStub.Command"/>.</summary>
    public required IReadOnlyList<string> Launcher { get; init; }

    /// <summary>Whether programs may map registers: each access stops the program and goes to the device. It takes ptrace, so that no debugger can attach.</summary>
    public bool TrapsRegisters { get; init; } = true;

    /// <summary>
    /// How devices reach memory of the program that is a file's (memfd, hugetlbfs): mapped here as well, or copied by the kernel. Memory that is nobody's but the program's
    /// is always copied.
    /// </summary>
    public DescriptorMemoryPolicy ProgramMemory { get; init; } = DescriptorMemoryPolicy.Safe;

    /// <summary>Where each call on a file of ours is told with its result; null for nowhere.</summary>
    public TextWriter? Trace { get; init; }

    /// <summary>The tree that stands in for sysfs, besides what the host's devices make of it; null for none.</summary>
    public IVirtualTree? Tree { get; init; }
}

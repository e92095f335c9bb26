using System.Runtime.InteropServices;

namespace Vfio.Linux;

/// <summary>One descriptor that <see cref="Poll"/> looks at.</summary>
/// <param name="descriptor">The descriptor; it must stay open during the wait.</param>
/// <param name="events">What to wait for.</param>
[StructLayout(LayoutKind.Auto)]
public struct PollRequest(FileDescriptor descriptor, EventLoopEvents events)
{
    /// <summary>The descriptor that is looked at.</summary>
    public FileDescriptor Descriptor { get; } = descriptor;

    /// <summary>What is waited for.</summary>
    public EventLoopEvents Events { get; } = events;

    /// <summary>What the wait has found.</summary>
    public EventLoopEvents Ready { get; internal set; }
}

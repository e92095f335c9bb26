using Vfio.Linux;

namespace Vfio.Pci.Tests;

internal static class EventFdExtensions
{
    /// <summary>How often it was signalled since the last look.</summary>
    public static ulong Take(this EventFd eventFd) => eventFd.TryConsume(out ulong count) ? count : 0;

    /// <summary>As <see cref="Take"/>, for what another thread signals.</summary>
    public static ulong TakeSoon(this EventFd eventFd) => eventFd.Wait(5000) ? eventFd.Take() : 0;
}

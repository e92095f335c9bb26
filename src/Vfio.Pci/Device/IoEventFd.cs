using Vfio.Linux;

namespace Vfio.Pci;

/// <summary>An eventfd of a user that stands for one register write (<c>vfio_pci_ioeventfd</c>).</summary>
internal sealed class IoEventFd : IDisposable
{
    private readonly EventFd _eventFd;

    public IoEventFd(int bar, ulong offset, int width, ulong data, EventFd eventFd)
    {
        Bar = bar;
        Offset = offset;
        Width = width;
        Data = data;
        _eventFd = eventFd;
    }

    public int Bar { get; }

    public ulong Offset { get; }

    public int Width { get; }

    public ulong Data { get; }

    public EventFd EventFd => _eventFd;

    public IDisposable? Registration { get; set; }

    public bool IsSame(int bar, ulong offset, int width, ulong data) => Bar == bar && Offset == offset && Width == width && Data == data;

    public void Dispose()
    {
        Registration?.Dispose();
        _eventFd.Dispose();
    }
}

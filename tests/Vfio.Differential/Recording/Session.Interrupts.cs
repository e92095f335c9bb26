using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.Differential;

/// <content>Interrupts.</content>
internal sealed partial class Session
{
    private const int LongWait = 10_000;
    private const int ShortWait = 100;

    /// <summary>VFIO_DEVICE_SET_IRQS.</summary>
    /// <param name="device">The device.</param>
    /// <param name="index">The kind of interrupt.</param>
    /// <param name="flags">Data and action.</param>
    /// <param name="start">The first vector.</param>
    /// <param name="count">How many.</param>
    /// <param name="descriptors">Eventfds, when the data is such.</param>
    /// <param name="booleans">Booleans, when the data is such.</param>
    /// <param name="argsz">The size, when it is not what it should be.</param>
    public void SetIrqs(int device, uint index, uint flags, uint start = 0, uint count = 1, int[]? descriptors = null, byte[]? booleans = null, uint argsz = 0)
    {
        byte[] data = descriptors is null ? booleans ?? [] : MemoryMarshal.AsBytes(descriptors.AsSpan()).ToArray();
        vfio_irq_set header = new()
        {
            argsz = argsz != 0 ? argsz : (uint)(Marshal.SizeOf<vfio_irq_set>() + data.Length),
            flags = flags,
            index = index,
            start = start,
            count = count,
        };
        byte[] bytes = [.. Bytes(header), .. data];
        bytes.CopyTo(_argument.Span);
        string kind = (index < 5 ? ((PciInterrupt)index).ToString() : index.ToString(System.Globalization.CultureInfo.InvariantCulture)).ToUpperInvariant();
        string values = descriptors is not null ? $" [{string.Join(", ", descriptors.Select(NameOf))}]" : booleans is not null ? $" [{string.Join(", ", booleans)}]" : "";
        Record(
            $"VFIO_DEVICE_SET_IRQS({NameOf(device)}, {kind} {Flags(flags)} start={_text.Number("", start)} count={_text.Number("", count)}{values}{(argsz != 0 ? $" argsz={argsz}" : "")})",
            _system.Ioctl(device, VfioUapi.VFIO_DEVICE_SET_IRQS, _argument.Address));
    }

    /// <summary>Waits for an eventfd that must be signalled, and takes its counter.</summary>
    public void Expect(int eventFd) => Take(eventFd, LongWait);

    /// <summary>Sees that an eventfd is not signalled, for a moment.</summary>
    public void ExpectNone(int eventFd) => Take(eventFd, ShortWait);

    /// <summary>Signals an eventfd.</summary>
    public void Signal(int eventFd) => _eventFds[eventFd].Signal();

    private static string Flags(uint flags)
    {
        string[] names = ["NONE", "BOOL", "EVENTFD", "MASK", "UNMASK", "TRIGGER"];
        string text = string.Join('+', names.Where((_, bit) => (flags & (1u << bit)) != 0));
        uint rest = flags & ~0x3Fu;
        return rest != 0 ? $"{text}+0x{rest:x}" : text.Length == 0 ? "0" : text;
    }

    private void Take(int eventFd, int milliseconds)
    {
        ulong count = 0;
        if (_eventFds[eventFd].Wait(milliseconds))
        {
            _eventFds[eventFd].TryConsume(out count);
        }

        Add($"take({NameOf(eventFd)})", count.ToString(System.Globalization.CultureInfo.InvariantCulture));
    }
}

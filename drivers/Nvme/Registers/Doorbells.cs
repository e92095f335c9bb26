using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.Drivers.Nvme;

/// <summary>
/// The doorbells (PCIe transport 1.0 §3.1.2), and their shadows in memory where the controller takes them (Doorbell Buffer Config, Base 2.0
/// §5.8): an emulated controller that looks at the shadows asks by the event index for the register writes that it needs.
/// </summary>
internal sealed class Doorbells(ControllerRegisters registers, int stride) : IDisposable
{
    private DmaBuffer? _shadow;
    private int _page;

    public bool UsesShadow { get; private set; }

    public ulong ShadowIova => _shadow!.Iova + PageOffset;

    public ulong EventIndexIova => ShadowIova + (ulong)_page;

    private nuint PageOffset => (nuint)((((_shadow!.Iova + (ulong)_page) - 1) & ~((ulong)_page - 1)) - _shadow.Iova);

    /// <summary>How many queue pairs, the admin one included, have their doorbells inside the BAR.</summary>
    public int MaximumQueues => registers.Size <= ControllerRegister.Doorbells
        ? 0
        : (int)Math.Min((registers.Size - ControllerRegister.Doorbells) / (2 * (ulong)stride), 1 << 16);

    /// <summary>Whether a page has room for the shadows of so many queue pairs.</summary>
    public bool ShadowHolds(int queues, int page) => (long)queues * 2 * stride <= page;

    /// <summary>Makes the buffers, or clears them before they are given to the controller anew.</summary>
    public void PrepareShadow(VfioConnection connection, int page)
    {
        UsesShadow = false;
        _page = page;
        _shadow ??= connection.AllocateDma((nuint)(3 * page) - 4096);
        _shadow.Span.Clear();
    }

    /// <summary>Rings by the shadows from now on, or by registers alone.</summary>
    public void EnableShadow(bool enable) => UsesShadow = enable;

    public Errno RingSubmission(int queue, ushort old, ushort value) => Ring(queue, 2 * queue, old, value);

    public Errno RingCompletion(int queue, ushort old, ushort value) => Ring(queue, (2 * queue) + 1, old, value);

    public void Dispose() => _shadow?.Dispose();

    private Errno Ring(int queue, int index, ushort old, ushort value)
    {
        if (UsesShadow && queue != 0)
        {
            nuint at = PageOffset + (nuint)(index * stride);
            Volatile.Write(ref MemoryMarshal.AsRef<uint>(_shadow!.Slice(at, sizeof(uint))), value);

            // The value must be seen before the event index is looked at, or both sides may wait for each other.
            Interlocked.MemoryBarrier();
            uint eventIndex = Volatile.Read(ref MemoryMarshal.AsRef<uint>(_shadow.Slice(at + (nuint)_page, sizeof(uint))));
            if ((ushort)(value - eventIndex - 1) >= (ushort)(value - old))
            {
                return Errno.None;
            }
        }

        return registers.Write32(ControllerRegister.Doorbells + (ulong)((long)index * stride), value);
    }
}

using Vfio.Pci;

namespace Vfio.Devices.Igb;

/// <summary>BAR 0 of a virtual function: its own registers, and its two queues among the physical function's. Every access takes that one's state lock.</summary>
/// <param name="function">The virtual function.</param>
/// <param name="registers">Its own registers.</param>
internal sealed class VirtualBlock(IgbVirtualFunction function, VirtualRegisters registers) : RegisterBlock("igb virtual function", IgbVirtualFunction.BarSize)
{
    private const ulong ReceiveQueues = 0x2800;
    private const ulong TransmitQueues = 0x3800;

    /// <inheritdoc/>
    public override int MaxAccessWidth => 4;

    /// <inheritdoc/>
    public override AccessResult Read(ulong offset, int width, out ulong value)
    {
        lock (function.Physical.StateLock)
        {
            if (Find(offset, out ulong inner) is { } file)
            {
                return file.Read(inner, width, out value);
            }

            value = 0;
            return AccessResult.Ok;
        }
    }

    /// <inheritdoc/>
    public override AccessResult Write(ulong offset, int width, ulong value)
    {
        lock (function.Physical.StateLock)
        {
            return Find(offset, out ulong inner) is { } file ? file.Write(inner, width, value) : AccessResult.Ok;
        }
    }

    /// <inheritdoc/>
    public override void Reset(ResetKind kind)
    {
        lock (function.Physical.StateLock)
        {
            registers.Reset(kind);
        }
    }

    /// <inheritdoc/>
    public override string? Describe(ulong offset) => Find(offset, out ulong inner)?.Describe(inner);

    /// <inheritdoc/>
    public override string Describe(ulong offset, ulong value) => Find(offset, out ulong inner) is { } file ? file.Describe(inner, value) : base.Describe(offset, value);

    /// <summary>Where an offset leads; nowhere for what the hardware has not, which reads zero.</summary>
    private RegisterFile? Find(ulong offset, out ulong inner)
    {
        RegisterFile? file = registers;
        inner = offset;
        if (offset >= ReceiveQueues)
        {
            // Queue n of the function is queue n × 8 + its number of the controller.
            ulong start = offset >= TransmitQueues ? TransmitQueues : ReceiveQueues;
            ulong queue = (offset - start) >> 8;
            ulong register = offset & 0xFF;
            if (queue >= IgbVirtualFunction.Queues || register >= 0x40)
            {
                return null;
            }

            file = start == TransmitQueues ? function.Physical.TransmitQueues : function.Physical.ReceiveQueues;
            inner = (((queue * 8) + (ulong)function.Pool) * 0x40) + register;
        }

        return file.Describe(inner) is null ? null : file;
    }
}

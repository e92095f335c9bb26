using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Pci;

namespace Vfio.Devices.Igb;

/// <content>Virtual functions: their queues, memory and mail. Function n is pool n, and has queues n and n + 8.</content>
public sealed partial class IgbDevice
{
    /// <summary>As the hardware has them: the first at bus + 1, device 16, and then each second function.</summary>
    private const int FirstFunction = 0x180;
    private const int FunctionStride = 2;
    private readonly IgbVirtualFunction?[] _functions = new IgbVirtualFunction?[IgbMailboxes.Functions];

    /// <summary>The virtual function that a queue belongs to; null when it is this one's.</summary>
    internal IgbVirtualFunction? OwnerOf(int queue) => HasPools && (queue & 7) < VirtualFunctionCount ? Volatile.Read(ref _functions[queue & 7]) : null;

    /// <summary>The virtual function with a number; null when there is none.</summary>
    internal IgbVirtualFunction? FunctionAt(int index) => Volatile.Read(ref _functions[index]);

    /// <summary>Memory as the owner of a queue sees it.</summary>
    internal DmaSpace DmaOf(int queue) => OwnerOf(queue)?.Dma ?? Dma;

    /// <summary>Whether the owner of a queue is a bus master, without which there is no DMA.</summary>
    internal bool IsBusMaster(int queue) => OwnerOf(queue)?.IsBusMaster ?? _isBusMaster;

    internal void Attach(IgbVirtualFunction function) => Volatile.Write(ref _functions[function.Pool], function);

    internal void Detach(IgbVirtualFunction function) => _ = Interlocked.CompareExchange(ref _functions[function.Pool], null, function);

    /// <summary>Resets what a virtual function has. Caller holds the state lock.</summary>
    internal void ResetFunction(int index)
    {
        for (int queue = index; queue < Transmitter.Queues; queue += IgbMailboxes.Functions)
        {
            ReceiveQueues.Reset(queue);
            TransmitQueues.Reset(queue);
            _transmitter.Reset(queue);
        }

        General.PoolReceive &= ~(1U << index);
        General.PoolTransmit &= ~(1U << index);
        Mailboxes.FunctionReset(index);
    }

    /// <summary>Counts a packet of a virtual function. Caller holds the state lock.</summary>
    internal void CountPool(int queue, ReadOnlySpan<byte> frame, bool transmits) => OwnerOf(queue)?.Count(frame, transmits);

    /// <inheritdoc/>
    protected override void OnVirtualFunctionsChanged(int count)
    {
        for (int i = 0; i < IgbMailboxes.Functions; i++)
        {
            Mailboxes.Forget(i);
        }
    }

    /// <inheritdoc/>
    /// <remarks>What virtual functions have is not in the state: with them the device stays.</remarks>
    protected override Errno OnStopped() => VirtualFunctionCount == 0 ? Errno.None : Errno.EBUSY;

    private VirtualFunctionSet DescribeFunctions()
        => new(IgbMailboxes.Functions, FirstFunction, FunctionStride, IgbVirtualFunction.DeviceId, index => new IgbVirtualFunction(this, index));
}

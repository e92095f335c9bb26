using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Pci.Tests;

/// <summary>SET_IRQS by every index, action and kind of data, in every state (the matrix of spec vfio-core §5.10).</summary>
public sealed class InterruptMatrixTests
{
    private const IrqSetFlags None = IrqSetFlags.DataNone;
    private const IrqSetFlags Bool = IrqSetFlags.DataBool;
    private const IrqSetFlags Fd = IrqSetFlags.DataEventFd;
    private const IrqSetFlags Trigger = IrqSetFlags.ActionTrigger;
    private const IrqSetFlags Mask = IrqSetFlags.ActionMask;
    private const IrqSetFlags Unmask = IrqSetFlags.ActionUnmask;

    /// <summary>What is on before the request.</summary>
    public enum State
    {
        Off,
        Intx,
        Msi,
        Msix,
        Notices,
    }

    [Theory]

    // INTx, TRIGGER without a count: off and on.
    [InlineData(State.Off, PciInterrupt.Intx, Trigger | None, 0u, Errno.EINVAL)]
    [InlineData(State.Intx, PciInterrupt.Intx, Trigger | None, 0u, Errno.None)]
    [InlineData(State.Intx, PciInterrupt.Intx, Trigger | Bool, 0u, Errno.EINVAL)]
    [InlineData(State.Intx, PciInterrupt.Intx, Trigger | Fd, 0u, Errno.EINVAL)]
    [InlineData(State.Off, PciInterrupt.Intx, Trigger | Bool, 0u, Errno.EINVAL)]
    [InlineData(State.Off, PciInterrupt.Intx, Trigger | Fd, 0u, Errno.EINVAL)]
    [InlineData(State.Msi, PciInterrupt.Intx, Trigger | None, 0u, Errno.EINVAL)]

    // INTx, TRIGGER of the one interrupt.
    [InlineData(State.Off, PciInterrupt.Intx, Trigger | None, 1u, Errno.EINVAL)]
    [InlineData(State.Off, PciInterrupt.Intx, Trigger | Bool, 1u, Errno.EINVAL)]
    [InlineData(State.Off, PciInterrupt.Intx, Trigger | Fd, 1u, Errno.None)]
    [InlineData(State.Intx, PciInterrupt.Intx, Trigger | None, 1u, Errno.None)]
    [InlineData(State.Intx, PciInterrupt.Intx, Trigger | Bool, 1u, Errno.None)]
    [InlineData(State.Intx, PciInterrupt.Intx, Trigger | Fd, 1u, Errno.None)]
    [InlineData(State.Msi, PciInterrupt.Intx, Trigger | Fd, 1u, Errno.EINVAL)]
    [InlineData(State.Msix, PciInterrupt.Intx, Trigger | Fd, 1u, Errno.EINVAL)]

    // INTx, MASK and UNMASK.
    [InlineData(State.Off, PciInterrupt.Intx, Mask | None, 1u, Errno.EINVAL)]
    [InlineData(State.Off, PciInterrupt.Intx, Mask | Bool, 1u, Errno.EINVAL)]
    [InlineData(State.Off, PciInterrupt.Intx, Mask | Fd, 1u, Errno.EINVAL)]
    [InlineData(State.Intx, PciInterrupt.Intx, Mask | None, 0u, Errno.EINVAL)]
    [InlineData(State.Intx, PciInterrupt.Intx, Mask | None, 1u, Errno.None)]
    [InlineData(State.Intx, PciInterrupt.Intx, Mask | Bool, 1u, Errno.None)]
    [InlineData(State.Intx, PciInterrupt.Intx, Mask | Fd, 1u, Errno.ENOTTY)]
    [InlineData(State.Off, PciInterrupt.Intx, Unmask | None, 1u, Errno.EINVAL)]
    [InlineData(State.Off, PciInterrupt.Intx, Unmask | Bool, 1u, Errno.EINVAL)]
    [InlineData(State.Off, PciInterrupt.Intx, Unmask | Fd, 1u, Errno.EINVAL)]
    [InlineData(State.Intx, PciInterrupt.Intx, Unmask | None, 0u, Errno.EINVAL)]
    [InlineData(State.Intx, PciInterrupt.Intx, Unmask | None, 1u, Errno.None)]
    [InlineData(State.Intx, PciInterrupt.Intx, Unmask | Bool, 1u, Errno.None)]
    [InlineData(State.Intx, PciInterrupt.Intx, Unmask | Fd, 1u, Errno.None)]

    // Messages cannot be masked here.
    [InlineData(State.Msi, PciInterrupt.Msi, Mask | None, 1u, Errno.ENOTTY)]
    [InlineData(State.Msi, PciInterrupt.Msi, Mask | Bool, 1u, Errno.ENOTTY)]
    [InlineData(State.Msi, PciInterrupt.Msi, Mask | Fd, 1u, Errno.ENOTTY)]
    [InlineData(State.Msix, PciInterrupt.Msix, Unmask | None, 1u, Errno.ENOTTY)]
    [InlineData(State.Msix, PciInterrupt.Msix, Unmask | Bool, 1u, Errno.ENOTTY)]
    [InlineData(State.Msix, PciInterrupt.Msix, Unmask | Fd, 1u, Errno.ENOTTY)]

    // Messages, TRIGGER without a count.
    [InlineData(State.Off, PciInterrupt.Msi, Trigger | None, 0u, Errno.EINVAL)]
    [InlineData(State.Off, PciInterrupt.Msi, Trigger | Bool, 0u, Errno.EINVAL)]
    [InlineData(State.Off, PciInterrupt.Msi, Trigger | Fd, 0u, Errno.ERANGE)]
    [InlineData(State.Msi, PciInterrupt.Msi, Trigger | None, 0u, Errno.None)]
    [InlineData(State.Msi, PciInterrupt.Msi, Trigger | Bool, 0u, Errno.None)]
    [InlineData(State.Msi, PciInterrupt.Msi, Trigger | Fd, 0u, Errno.None)]
    [InlineData(State.Msix, PciInterrupt.Msix, Trigger | None, 0u, Errno.None)]
    [InlineData(State.Msix, PciInterrupt.Msi, Trigger | None, 0u, Errno.EINVAL)]
    [InlineData(State.Intx, PciInterrupt.Msi, Trigger | None, 0u, Errno.EINVAL)]

    // Messages, TRIGGER of two.
    [InlineData(State.Off, PciInterrupt.Msix, Trigger | None, 2u, Errno.EINVAL)]
    [InlineData(State.Off, PciInterrupt.Msix, Trigger | Bool, 2u, Errno.EINVAL)]
    [InlineData(State.Off, PciInterrupt.Msix, Trigger | Fd, 2u, Errno.None)]
    [InlineData(State.Msix, PciInterrupt.Msix, Trigger | None, 2u, Errno.None)]
    [InlineData(State.Msix, PciInterrupt.Msix, Trigger | Bool, 2u, Errno.None)]
    [InlineData(State.Msix, PciInterrupt.Msix, Trigger | Fd, 2u, Errno.None)]
    [InlineData(State.Msi, PciInterrupt.Msi, Trigger | None, 2u, Errno.None)]
    [InlineData(State.Msi, PciInterrupt.Msix, Trigger | Fd, 2u, Errno.EINVAL)]
    [InlineData(State.Intx, PciInterrupt.Msix, Trigger | Fd, 2u, Errno.EINVAL)]

    // Notices.
    [InlineData(State.Off, PciInterrupt.Error, Mask | None, 1u, Errno.ENOTTY)]
    [InlineData(State.Off, PciInterrupt.Request, Unmask | Fd, 1u, Errno.ENOTTY)]
    [InlineData(State.Off, PciInterrupt.Error, Trigger | None, 1u, Errno.EINVAL)]
    [InlineData(State.Off, PciInterrupt.Request, Trigger | None, 0u, Errno.EINVAL)]
    [InlineData(State.Off, PciInterrupt.Error, Trigger | Bool, 0u, Errno.EINVAL)]
    [InlineData(State.Off, PciInterrupt.Request, Trigger | Fd, 0u, Errno.EINVAL)]
    [InlineData(State.Off, PciInterrupt.Error, Trigger | Fd, 1u, Errno.None)]
    [InlineData(State.Off, PciInterrupt.Error, Trigger | Bool, 1u, Errno.None)]
    [InlineData(State.Notices, PciInterrupt.Error, Trigger | None, 1u, Errno.None)]
    [InlineData(State.Notices, PciInterrupt.Error, Trigger | None, 0u, Errno.None)]
    [InlineData(State.Notices, PciInterrupt.Request, Trigger | Bool, 1u, Errno.None)]
    [InlineData(State.Notices, PciInterrupt.Request, Trigger | Bool, 0u, Errno.EINVAL)]
    [InlineData(State.Notices, PciInterrupt.Request, Trigger | Fd, 1u, Errno.None)]

    // No action, and two.
    [InlineData(State.Off, PciInterrupt.Intx, None, 1u, Errno.ENOTTY)]
    [InlineData(State.Off, PciInterrupt.Msi, Trigger | Mask | None, 1u, Errno.ENOTTY)]
    [InlineData(State.Notices, PciInterrupt.Request, Trigger | Unmask | None, 1u, Errno.ENOTTY)]
    public async Task Every_combination_answers_as_the_kernel(State state, PciInterrupt index, IrqSetFlags flags, uint count, Errno expected)
    {
        await using PciRig rig = new(static pci => pci.Intx().PciExpress().Msi(8).Msix(4, bar: 2));
        switch (state)
        {
            case State.Intx:
                rig.Enable(PciInterrupt.Intx, 1);
                break;
            case State.Msi:
                rig.Enable(PciInterrupt.Msi, 4);
                break;
            case State.Msix:
                rig.Enable(PciInterrupt.Msix, 4);
                break;
            case State.Notices:
                rig.SetEventFds(PciInterrupt.Error, 0, rig.NewEventFd());
                rig.SetEventFds(PciInterrupt.Request, 0, rig.NewEventFd());
                break;
        }

        IoResult result = (flags & IrqSetFlags.DataMask) switch
        {
            Fd => rig.File.SetIrqEventFds((uint)index, flags & IrqSetFlags.ActionMaskAll, 0, [.. Enumerable.Range(0, (int)count).Select(_ => rig.NewEventFd().Descriptor)]),
            Bool => rig.SetIrqs(index, flags, 0, count, Enumerable.Repeat((byte)1, (int)count).ToArray()),
            _ => rig.SetIrqs(index, flags, 0, count),
        };
        Assert.Equal(expected, result.Error);
        Assert.Equal(0, result.IsError ? 0 : result.Value);
    }

    [Fact]
    public async Task Empty_request_far_up_changes_no_vectors()
    {
        await using PciRig rig = new(static pci => pci.PciExpress().Msi(8));
        EventFd[] vectors = rig.Enable(PciInterrupt.Msi, 2);
        Assert.Equal(0, rig.SetIrqs(PciInterrupt.Msi, Trigger | Fd, 7, 0).Value);
        rig.Interrupts.Signal(3);
        Assert.Equal([0UL, 1UL], vectors.Select(static vector => vector.Take()));
    }
}

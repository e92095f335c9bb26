using FsCheck;
using FsCheck.Fluent;
using Vfio.Linux;

namespace Vfio.Pci.Tests;

/// <summary>When an MSI-X vector can be delivered: ADR 0101.</summary>
public sealed class MsixTests
{
    private const ulong Pba = 0x800;

    private static PciRig Device(int vectors = 70) => new(pci => pci.PciExpress().Bar(2, 0x1000, PciBarKind.Memory32, false).Msix(vectors, 2, 0, Pba));

    [Fact]
    public async Task Csharp_driver_never_touches_table_or_enable_bit_and_gets_its_interrupts()
    {
        await using PciRig rig = Device();
        EventFd[] vectors = rig.Enable(PciInterrupt.Msix, 70);
        Assert.Equal(InterruptDelivery.Delivered, rig.Interrupts.Signal(69));
        Assert.Equal(1UL, vectors[69].Take());
        Assert.True(rig.Interrupts.UsesMessages);
    }

    /// <summary>QEMU forwards writes to the control word, keeps the table to itself, and swaps eventfds.</summary>
    [Fact]
    public async Task Qemu_client()
    {
        await using PciRig rig = Device(4);
        int msix = rig.FindCapability(0x11);
        rig.SetConfig(msix + 2, 0xC000, 2);
        Assert.Equal(0, rig.SetEventFds(PciInterrupt.Msix, 0, (EventFd?)null).Value);
        Assert.Equal(InterruptDelivery.Pending, rig.Interrupts.Signal(1));
        EventFd vector = rig.NewEventFd();
        Assert.Equal(0, rig.SetEventFds(PciInterrupt.Msix, 1, vector).Value);
        Assert.Equal(0UL, vector.Take());
        Assert.Equal(2UL, rig.Load(2, Pba, 8));

        rig.SetConfig(msix + 2, 0x8000, 2);
        Assert.Equal(1UL, vector.Take());
        Assert.Equal(0UL, rig.Load(2, Pba, 4));
        Assert.Equal(InterruptDelivery.Delivered, rig.Interrupts.Signal(1));

        rig.SetConfig(msix + 2, 0, 2);
        Assert.Equal(0, rig.SetIrqs(PciInterrupt.Msix, IrqSetFlags.DataNone | IrqSetFlags.ActionTrigger, 0, 0).Value);
        Assert.Equal(InterruptDelivery.Lost, rig.Interrupts.Signal(1));
    }

    /// <summary>A client as libvfio-user and SPDK know them sets the enable bit and eventfds, in either order, and nothing else.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Library_client(bool enableFirst)
    {
        await using PciRig rig = Device(4);
        int msix = rig.FindCapability(0x11);
        if (enableFirst)
        {
            rig.SetConfig(msix + 2, 0x8000, 2);
        }

        EventFd[] vectors = rig.Enable(PciInterrupt.Msix, 4);
        if (!enableFirst)
        {
            rig.SetConfig(msix + 2, 0x8000, 2);
        }

        rig.Interrupts.Signal(3);
        Assert.Equal(1UL, vectors[3].Take());
    }

    /// <summary>A client that programs the table through the BAR is held to what it wrote.</summary>
    [Fact]
    public async Task Raw_client()
    {
        await using PciRig rig = Device(4);
        EventFd[] vectors = rig.Enable(PciInterrupt.Msix, 4);
        Assert.Equal(1UL, rig.Load(2, 12, 4));
        rig.Store(2, 16, 8, 0xFEE01003);
        Assert.Equal(InterruptDelivery.Pending, rig.Interrupts.Signal(1));
        Assert.Equal(0xFEE01000UL, rig.Load(2, 16, 8));
        rig.Store(2, 28, 4, 0xFFFFFFFE);
        Assert.Equal(0UL, rig.Load(2, 28, 4));
        Assert.Equal(1UL, vectors[1].Take());
        Assert.Equal(InterruptDelivery.Delivered, rig.Interrupts.Signal(1));
        Assert.Equal(InterruptDelivery.Delivered, rig.Interrupts.Signal(0));
        rig.Store(2, 28, 1, 1);
        Assert.Equal(InterruptDelivery.Pending, rig.Interrupts.Signal(1));
        Assert.Equal(2UL, rig.Load(2, Pba, 1));
        rig.Store(2, Pba, 8, 0);
        Assert.Equal(2UL, rig.Load(2, Pba, 8));
        rig.Store(2, 28, 1, 0);
        Assert.Equal(2UL, vectors[1].Take());
    }

    [Fact]
    public async Task Table_is_forgotten_when_the_last_user_closes()
    {
        await using PciRig rig = Device(4);
        rig.Store(2, 28, 4, 1);
        rig.Reopen();
        EventFd[] vectors = rig.Enable(PciInterrupt.Msix, 4);
        rig.Interrupts.Signal(1);
        Assert.Equal(1UL, vectors[1].Take());
        Assert.Equal(0UL, rig.Load(2, 16, 8));
    }

    [Fact]
    public async Task Reset_clears_pending_bits_and_keeps_set_up()
    {
        await using PciRig rig = Device(4);
        EventFd[] vectors = rig.Enable(PciInterrupt.Msix, 4);
        rig.Store(2, 28, 4, 1);
        rig.Interrupts.Signal(1);
        rig.File.Reset();
        Assert.Equal(0UL, rig.Load(2, Pba, 8));
        Assert.Equal(1UL, rig.Load(2, 28, 4));
        rig.Store(2, 28, 4, 0);
        Assert.Equal(0UL, vectors[1].Take());
    }

    /// <summary>Random signals, table and control writes, eventfd changes and resets against a model written from the rule.</summary>
    [Fact]
    public void Random_operations_agree_with_a_model()
    {
        const int Vectors = 70;
        Gen<(int Op, int Vector)> operation =
            from op in Gen.Frequency((6, Gen.Constant(0)), (4, Gen.Choose(1, 5)), (1, Gen.Choose(6, 9)))
            from vector in Gen.Choose(0, Vectors - 1)
            select (op, vector);
        Prop.ForAll(Arb.From(Gen.ListOf(operation)), operations =>
        {
            PciRig rig = Device(Vectors);
            try
            {
                Run(rig, operations, Vectors);
            }
            finally
            {
                rig.DisposeAsync().AsTask().GetAwaiter().GetResult();
            }
        }).QuickCheckThrowOnFailure();
    }

    private static void Run(PciRig rig, IEnumerable<(int Op, int Vector)> operations, int count)
    {
        int msix = rig.FindCapability(0x11);
        EventFd[] eventFds = rig.Enable(PciInterrupt.Msix, count);
        var hasEventFd = Enumerable.Repeat(true, count).ToArray();
        var written = new bool[count];
        var masked = Enumerable.Repeat(true, count).ToArray();
        var pending = new bool[count];
        var expected = new ulong[count];
        bool enabled = true;
        bool functionMask = false;

        void Deliver()
        {
            for (int v = 0; v < count; v++)
            {
                if (pending[v] && enabled && !functionMask && hasEventFd[v] && !(written[v] && masked[v]))
                {
                    pending[v] = false;
                    expected[v]++;
                }
            }
        }

        foreach ((int op, int vector) in operations)
        {
            switch (op)
            {
                case 0:
                    rig.Interrupts.Signal(vector);
                    pending[vector] |= enabled;
                    break;
                case 1:
                case 2:
                    rig.Store(2, ((ulong)vector * 16) + 12, 4, op == 1 ? 1UL : 0);
                    written[vector] = true;
                    masked[vector] = op == 1;
                    break;
                case 3:
                    rig.Store(2, (ulong)vector * 16, 8, 0x1000);
                    written[vector] = true;
                    break;
                case 4:
                    rig.SetEventFds(PciInterrupt.Msix, (uint)vector, (EventFd?)null);
                    hasEventFd[vector] = false;
                    break;
                case 5:
                    rig.SetEventFds(PciInterrupt.Msix, (uint)vector, eventFds[vector]);
                    hasEventFd[vector] = true;
                    break;
                case 6:
                case 7:
                    functionMask = op == 6;
                    rig.SetConfig(msix + 2, (enabled ? 0x8000UL : 0) | (functionMask ? 0x4000UL : 0), 2);
                    break;
                case 8:
                    enabled = !enabled;
                    rig.SetConfig(msix + 2, (enabled ? 0x8000UL : 0) | (functionMask ? 0x4000UL : 0), 2);
                    break;
                default:
                    rig.File.Reset();
                    Array.Clear(pending);
                    break;
            }

            Deliver();
        }

        for (int v = 0; v < count; v++)
        {
            Assert.Equal(expected[v], eventFds[v].Take());
            Assert.Equal(pending[v] ? 1UL : 0, (rig.Load(2, Pba + ((ulong)v / 64 * 8), 8) >> (v % 64)) & 1);
        }
    }
}

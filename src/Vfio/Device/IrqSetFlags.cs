namespace Vfio;

/// <summary>What a SET_IRQS request carries and does (<c>VFIO_IRQ_SET_*</c>): exactly one data flag and one action flag.</summary>
[Flags]
public enum IrqSetFlags : uint
{
    /// <summary>Nothing; refused.</summary>
    None = 0,

    /// <summary>No data: all interrupts in the range are meant.</summary>
    DataNone = 1,

    /// <summary>One byte for each interrupt: non-zero ones are meant.</summary>
    DataBool = 2,

    /// <summary>One eventfd for each interrupt; −1 takes it away.</summary>
    DataEventFd = 4,

    /// <summary>Mask.</summary>
    ActionMask = 8,

    /// <summary>Unmask.</summary>
    ActionUnmask = 0x10,

    /// <summary>Trigger, or set the eventfd that is signalled.</summary>
    ActionTrigger = 0x20,

    /// <summary>All data flags.</summary>
    DataMask = DataNone | DataBool | DataEventFd,

    /// <summary>All action flags.</summary>
    ActionMaskAll = ActionMask | ActionUnmask | ActionTrigger,
}

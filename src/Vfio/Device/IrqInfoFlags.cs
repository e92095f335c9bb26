namespace Vfio;

/// <summary>How the interrupts of an index behave (<c>VFIO_IRQ_INFO_*</c>).</summary>
[Flags]
public enum IrqInfoFlags : uint
{
    /// <summary>Nothing special.</summary>
    None = 0,

    /// <summary>Delivered by eventfd.</summary>
    EventFd = 1,

    /// <summary>Can be masked and unmasked.</summary>
    Maskable = 2,

    /// <summary>Masked by each delivery until the user unmasks it.</summary>
    AutoMasked = 4,

    /// <summary>The number in use cannot be changed while enabled.</summary>
    NoResize = 8,
}

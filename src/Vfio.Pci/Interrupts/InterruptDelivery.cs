namespace Vfio.Pci;

/// <summary>What became of a signalled interrupt.</summary>
public enum InterruptDelivery
{
    /// <summary>The user was notified.</summary>
    Delivered,

    /// <summary>It is masked and will be delivered once, when unmasked.</summary>
    Pending,

    /// <summary>No interrupts of any kind are enabled, or the vector has nobody to notify and cannot be kept: it is lost.</summary>
    Lost,
}

namespace Vfio.Drivers.Nvme;

/// <summary>How the driver learns of completions.</summary>
public enum NvmeCompletionMode
{
    /// <summary>By MSI-X with a vector for each queue, else MSI, else INTx, else as <see cref="Polling"/>.</summary>
    Interrupts,

    /// <summary>
    /// A thread of the driver's looks at the queues as long as commands are under way, which takes a processor and saves the interrupt. Whoever waits
    /// may look too, by <see cref="NvmeController.Poll"/>.
    /// </summary>
    Polling,
}

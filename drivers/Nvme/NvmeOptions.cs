using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Vfio.Drivers.Nvme;

/// <summary>How a controller is driven.</summary>
public sealed record NvmeOptions
{
    /// <summary>Whether anything that is stored may be changed. Without it, writes, deallocation and zeroing are refused before the device sees them.</summary>
    public bool AllowWrites { get; init; }

    /// <summary>Pairs of I/O queues; null for one a processor, eight at most. The controller and its vectors may allow fewer.</summary>
    public int? QueueCount { get; init; }

    /// <summary>Entries of each I/O queue, 2 to 4096: one more than commands in flight. The controller may allow fewer.</summary>
    public int QueueDepth { get; init; } = 256;

    /// <summary>Bytes that one command moves at most, a multiple of 4096 up to 2 MiB; longer transfers become several commands. The controller may allow fewer.</summary>
    public int MaximumTransfer { get; init; } = 512 << 10;

    /// <summary>How the driver learns of completions.</summary>
    public NvmeCompletionMode Completion { get; init; }

    /// <summary>The kind of interrupt to use; null for the best that there is.</summary>
    public PciInterrupt? Interrupt { get; init; }

    /// <summary>How commands describe memory.</summary>
    public NvmeDataPointer DataPointer { get; init; }

    /// <summary>Whether doorbells go through memory when the controller offers it (Doorbell Buffer Config).</summary>
    public bool UseShadowDoorbells { get; init; } = true;

    /// <summary>
    /// Whether continuations run on the thread that finds the completion: shorter, but one that waits or works long holds up all others. Never block in one.
    /// </summary>
    public bool RunContinuationsInline { get; init; }

    /// <summary>How long a command may take before it is aborted, and again before the controller is reset.</summary>
    public TimeSpan CommandTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long <see cref="NvmeController.DisposeAsync"/> waits for commands under way, and then for the controller's shutdown.</summary>
    public TimeSpan ShutdownTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How many resets of the controller one read or write may go through before it fails.</summary>
    public int MaximumReplays { get; init; } = 3;

    /// <summary>Namespaces that are looked at, at most.</summary>
    public int MaximumNamespaces { get; init; } = 1024;

    /// <summary>The clock of time limits.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Receives what happens to the controller: resets, aborts, violations of the protocol.</summary>
    public ILogger Logger { get; init; } = NullLogger.Instance;

    /// <summary>What is wrong with the options, as a sentence; null when nothing is.</summary>
    internal string? FindMistake()
        => QueueCount is < 1 or > ushort.MaxValue ? $"{nameof(QueueCount)} is 1 to 65535, not {QueueCount}."
        : QueueDepth is < 2 or > 4096 ? $"{nameof(QueueDepth)} is 2 to 4096, not {QueueDepth}."
        : MaximumTransfer is < 4096 or > 2 << 20 || MaximumTransfer % 4096 != 0 ? $"{nameof(MaximumTransfer)} is a multiple of 4096 up to 2 MiB, not {MaximumTransfer}."
        : CommandTimeout <= TimeSpan.Zero || CommandTimeout > TimeSpan.FromHours(1) ? $"{nameof(CommandTimeout)} is more than nothing and an hour at most, not {CommandTimeout}."
        : ShutdownTimeout <= TimeSpan.Zero || ShutdownTimeout > TimeSpan.FromHours(1) ? $"{nameof(ShutdownTimeout)} is more than nothing and an hour at most, not {ShutdownTimeout}."
        : MaximumReplays is < 0 or > 100 ? $"{nameof(MaximumReplays)} is 0 to 100, not {MaximumReplays}."
        : MaximumNamespaces < 1 ? $"{nameof(MaximumNamespaces)} is 1 at least, not {MaximumNamespaces}."
        : Interrupt is not (null or PciInterrupt.Intx or PciInterrupt.Msi or PciInterrupt.Msix) ? $"{nameof(Interrupt)} is INTx, MSI or MSI-X, not {Interrupt}."
        : null;
}

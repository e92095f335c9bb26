namespace Vfio.Devices.Dsa;

/// <summary>What is left to tell of a descriptor that was executed.</summary>
internal struct Outcome
{
    /// <summary>Vectors that shall interrupt, a bit each.</summary>
    public uint Interrupts;

    public bool HasFailed;

    /// <summary>What no completion record could tell.</summary>
    public SoftwareError Error;
}

/// <summary>What goes into SWERR.</summary>
internal readonly record struct SoftwareError
{
    /// <summary>The error; none when there was none.</summary>
    public CompletionStatus Error { get; init; }

    public DsaOpcode Opcode { get; init; }

    /// <summary>The descriptor's place in its batch; -1 when it was in none.</summary>
    public int BatchIndex { get; init; }

    public ulong FaultAddress { get; init; }

    public bool FaultWasWrite { get; init; }

    public uint InvalidFlags { get; init; }
}

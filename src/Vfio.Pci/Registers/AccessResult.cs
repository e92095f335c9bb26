namespace Vfio.Pci;

/// <summary>How a register block answers one access. Failures are values: what the bus makes of them is decided by <see cref="VfioPciDevice"/>.</summary>
/// <remarks>
/// The device answers a failed read with all ones, drops a failed write, and logs both at a limited rate: a guest never sees an error
/// for a plausible access, as on a real bus.
/// </remarks>
public enum AccessResult
{
    /// <summary>Done.</summary>
    Ok,

    /// <summary>The block does not answer at all (powered down, in reset).</summary>
    NoResponse,

    /// <summary>No register is there.</summary>
    InvalidRegister,

    /// <summary>The register is not accessible with this width. No access took place, so that it may be tried again in smaller pieces.</summary>
    InvalidAccessSize,

    /// <summary>The access does not start at a multiple of its width within the register.</summary>
    Unaligned,

    /// <summary>The register cannot be written.</summary>
    ReadOnly,

    /// <summary>The register cannot be read.</summary>
    WriteOnly,
}

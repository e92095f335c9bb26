namespace Vfio.Kernel;

/// <summary>What a <see cref="Finding"/> means for who wants to use a device.</summary>
public enum FindingSeverity
{
    /// <summary>Good to know; nothing fails by it.</summary>
    Note,

    /// <summary>Something may fail, or is unsafe.</summary>
    Warning,

    /// <summary>The device cannot be used before this is mended.</summary>
    Error,
}

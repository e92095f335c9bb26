namespace Vfio.Tool.Qemu;

/// <summary>QEMU refused a QMP command.</summary>
public sealed class QmpException(string command, string errorClass, string description)
    : Exception($"QMP {command}: {description} ({errorClass})")
{
    /// <summary>QEMU's class of the error, usually <c>GenericError</c>.</summary>
    public string ErrorClass { get; } = errorClass;

    /// <summary>QEMU's own words.</summary>
    public string Description { get; } = description;
}

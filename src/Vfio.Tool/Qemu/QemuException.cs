namespace Vfio.Tool.Qemu;

/// <summary>QEMU or the guest did not do what the harness needs; the message says what was tried and what QEMU said.</summary>
public sealed class QemuException : Exception
{
    public QemuException(string message)
        : base(message)
    {
    }

    public QemuException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}

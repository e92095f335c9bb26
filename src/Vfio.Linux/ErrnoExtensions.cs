using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>Words for error numbers. For messages and logs; nothing here belongs on a hot path.</summary>
public static class ErrnoExtensions
{
    /// <summary>The C name. The older of two spellings wins (<c>EAGAIN</c>, <c>EDEADLK</c>); a number without a name is <c>errno N</c>.</summary>
    public static string GetName(this Errno error) => error switch
    {
        Errno.EAGAIN => nameof(Errno.EAGAIN),
        Errno.EDEADLK => nameof(Errno.EDEADLK),
        _ => Enum.GetName(error) ?? $"errno {(int)error}",
    };

    /// <summary>The C library's sentence for the error, as <c>No such file or directory</c>.</summary>
    public static string GetText(this Errno error) => Marshal.GetPInvokeErrorMessage((int)error);

    /// <summary>Throws a <see cref="LinuxException"/> if this is an error.</summary>
    /// <param name="error">What the operation answered.</param>
    /// <param name="operation">What was tried, as the message shall tell it: <c>listen on /run/edu.sock</c>.</param>
    /// <exception cref="LinuxException">The operation failed.</exception>
    public static void ThrowIfError(this Errno error, string operation)
    {
        if (error != Errno.None)
        {
            throw new LinuxException(error, operation);
        }
    }
}

using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>Every import of this assembly. The helpers around them loop on EINTR; none of the raw imports is called from elsewhere without that reason.</summary>
internal static partial class Interop
{
    private const string LibC = "libc";

    internal static Errno LastError => (Errno)Marshal.GetLastPInvokeError();

    /// <summary>Turns the return value of a call into a result; must directly follow the call.</summary>
    internal static IoResult ToResult(nint value) => value >= 0 ? IoResult.Success(value) : LastError;

    internal static Errno ToErrno(int value) => value >= 0 ? Errno.None : LastError;
}

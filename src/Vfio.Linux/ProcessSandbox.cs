using System.Text;
using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>
/// Takes rights away from this process that it never gets back: no new privileges, no files but those named (Landlock), no system calls but those
/// that a server of devices needs (seccomp).
/// </summary>
/// <remarks>
/// Landlock holds for the calling thread and the threads that it starts. A .NET program has others before its first line runs, so that it
/// restricts its files, and then <see cref="TryRestart"/>s: the program that is executed in its place has no thread outside. The filter of system
/// calls is put on all threads at once.
/// </remarks>
public static partial class ProcessSandbox
{
    /// <summary>Takes from this thread, and all that come of it, the way to more privileges by executing a program (<c>PR_SET_NO_NEW_PRIVS</c>). Both other restrictions need it.</summary>
    /// <returns>What <c>prctl(2)</c> answers.</returns>
    public static Errno TryForbidNewPrivileges() => Interop.ToErrno(Interop.ProcessControl(Interop.ProcessSetNoNewPrivileges, 1, 0, 0, 0));

    /// <summary>
    /// Executes this very program with its arguments once more, in this process. Descriptors that are not close-on-exec stay; it does not return
    /// when it succeeds, and disposes nothing.
    /// </summary>
    /// <param name="environment">Variables that the new program gets, besides those that this one was started with.</param>
    /// <returns>Why it could not be done.</returns>
    /// <exception cref="IOException">procfs is not there.</exception>
    public static unsafe Errno TryRestart(params ReadOnlySpan<(string Name, string Value)> environment)
    {
        foreach ((string name, string value) in environment)
        {
            if (Interop.SetEnvironment(name, value, 1) != 0)
            {
                return Interop.LastError;
            }
        }

        // One string after the other, a NUL behind each.
        byte[] arguments = File.ReadAllBytes("/proc/self/cmdline");
        byte[] path = Encoding.UTF8.GetBytes("/proc/self/exe\0");
        nint[] pointers = new nint[arguments.AsSpan().Count((byte)0) + 1];
        fixed (byte* first = arguments)
        fixed (byte* program = path)
        fixed (nint* vector = pointers)
        {
            int count = 0;
            for (int at = 0; at < arguments.Length; at += arguments.AsSpan(at).IndexOf((byte)0) + 1)
            {
                vector[count++] = (nint)(first + at);
            }

            // SAFETY: NUL-terminated strings and a vector that ends with a null pointer, all fixed; execv only reads them.
            _ = Interop.Execute(program, (byte**)vector);
        }

        return Interop.LastError;
    }
}

using System.Globalization;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>Signals of a traced thread, passed on as they would have come without a tracer.</summary>
internal static class SignalPassing
{
    private const ulong Interrupted = unchecked((ulong)-(long)Errno.EINTR);
    private const ulong NoCall = ulong.MaxValue;

    // SIGCHLD, SIGCONT, SIGURG, SIGWINCH: nothing happens by default.
    private const ulong IgnoredByDefault = (1ul << 16) | (1ul << 17) | (1ul << 22) | (1ul << 27);

    /// <summary>Lets a thread go on with its signal.</summary>
    /// <remarks>
    /// A signal that is ignored never reaches a thread without a tracer; with one it wakes the thread, and calls that no signal may interrupt twice, such as
    /// epoll_wait, answer EINTR. Such a call is made again.
    /// </remarks>
    public static void Pass(int thread, int process, int signal)
    {
        if (!IsIgnored(process, signal))
        {
            _ = ThreadTracing.Resume(thread, signal);
            return;
        }

        if (ThreadTracing.Read(thread, out ThreadRegisters registers) == Errno.None && registers.CallNumber != NoCall && registers.Rax == Interrupted)
        {
            registers.Rax = registers.CallNumber;
            registers.Rip -= 2;
            _ = ThreadTracing.Write(thread, in registers);
        }

        _ = ThreadTracing.Resume(thread);
    }

    private static bool IsIgnored(int process, int signal)
    {
        ulong bit = 1ul << (signal - 1);
        ulong ignored = 0;
        ulong caught = 0;
        try
        {
            foreach (string line in File.ReadLines($"/proc/{process}/status"))
            {
                if (line.StartsWith("SigIgn:", StringComparison.Ordinal))
                {
                    ignored = Mask(line);
                }
                else if (line.StartsWith("SigCgt:", StringComparison.Ordinal))
                {
                    caught = Mask(line);
                    break;
                }
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;
        }

        return (ignored & bit) != 0 || ((IgnoredByDefault & bit) != 0 && (caught & bit) == 0);
    }

    private static ulong Mask(string line) => ulong.Parse(line.AsSpan(line.IndexOf(':', StringComparison.Ordinal) + 1).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
}

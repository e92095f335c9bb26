using System.Globalization;

namespace Vfio.Run.Tracing;

/// <summary>What /proc tells of a thread. Signals are bits, number 1 the lowest.</summary>
/// <param name="ProcessId">Its process.</param>
/// <param name="Pending">Signals that wait for the thread or for its process.</param>
/// <param name="Blocked">Signals that it holds back.</param>
/// <param name="Ignored">Signals that its process ignores by its own will.</param>
/// <param name="Caught">Signals that its process has handlers for.</param>
internal readonly record struct ThreadStatus(int ProcessId, ulong Pending, ulong Blocked, ulong Ignored, ulong Caught)
{
    /// <summary>Reads it. Allocates: not for each access.</summary>
    /// <returns>False when the thread is gone.</returns>
    internal static bool TryRead(int threadId, out ThreadStatus status)
    {
        status = default;
        string[] lines;
        try
        {
            lines = File.ReadAllLines($"/proc/{threadId}/status");
        }
        catch (IOException)
        {
            return false;
        }

        foreach (string line in lines)
        {
            int colon = line.IndexOf(':', StringComparison.Ordinal);
            ReadOnlySpan<char> value = line.AsSpan(colon + 1).Trim();
            status = line.AsSpan(0, Math.Max(colon, 0)) switch
            {
                "Tgid" => status with { ProcessId = int.Parse(value, CultureInfo.InvariantCulture) },
                "SigPnd" or "ShdPnd" => status with { Pending = status.Pending | Bits(value) },
                "SigBlk" => status with { Blocked = Bits(value) },
                "SigIgn" => status with { Ignored = Bits(value) },
                "SigCgt" => status with { Caught = Bits(value) },
                _ => status,
            };
        }

        return status.ProcessId != 0;
    }

    /// <summary>Whether the signal does nothing to the process.</summary>
    internal bool Ignores(int signal) => Has(Ignored, signal) || (Signals.IsIgnoredByDefault(signal) && !Has(Caught, signal));

    private static bool Has(ulong set, int signal) => (set >> (signal - 1) & 1) != 0;

    private static ulong Bits(ReadOnlySpan<char> value) => ulong.Parse(value, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}

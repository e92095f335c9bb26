using Vfio.Abi;
using Vfio.Linux;

namespace Vfio;

/// <summary>An operation that our own caller asked for was refused; whatever it was tried on is still usable.</summary>
/// <remarks>The message tells what was tried, what came back, and what to do. Never thrown on a path that a peer triggers.</remarks>
public class VfioException : Exception
{
    /// <summary>Reports a refusal.</summary>
    /// <param name="errno">What came back.</param>
    /// <param name="operation">What was tried, as a phrase: "bind device edu0".</param>
    /// <param name="hint">The likely cause and the next step, as sentences; null when there is nothing to add.</param>
    /// <param name="innerException">The cause, if it was an exception.</param>
    public VfioException(Errno errno, string operation, string? hint = null, Exception? innerException = null)
        : base(Compose(errno, operation, hint), innerException)
    {
        Errno = errno;
        Operation = operation;
        Hint = hint;
    }

    /// <summary>What came back.</summary>
    public Errno Errno { get; }

    /// <summary>What was tried.</summary>
    public string Operation { get; }

    /// <summary>The likely cause and the next step, if known.</summary>
    public string? Hint { get; }

    /// <summary>Throws when a result is an error.</summary>
    /// <param name="errno">The result.</param>
    /// <param name="operation">What was tried.</param>
    /// <param name="hint">The likely cause and the next step.</param>
    /// <exception cref="VfioException">The result is not <see cref="Errno.None"/>.</exception>
    public static void ThrowIfError(Errno errno, string operation, string? hint = null)
    {
        if (errno != Errno.None)
        {
            throw new VfioException(errno, operation, hint);
        }
    }

    private static string Compose(Errno errno, string operation, string? hint)
    {
        string message = $"Could not {operation}: {errno.GetName()} ({errno.GetText()}).";
        return hint is null ? message : $"{message} {hint}";
    }
}

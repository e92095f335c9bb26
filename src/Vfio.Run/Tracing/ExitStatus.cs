namespace Vfio.Run.Tracing;

/// <summary>How a process ended.</summary>
/// <param name="Code">What it passed to exit, 0…255; 0 when a signal killed it.</param>
/// <param name="Signal">The signal that killed it, or 0.</param>
internal readonly record struct ExitStatus(int Code, int Signal)
{
    /// <summary>As a shell tells it: the code, or 128 and the signal.</summary>
    public int ShellCode => Signal == 0 ? Code : 128 + Signal;
}

using System.Diagnostics;

namespace Vfio.TestUtilities;

/// <summary>A run of the program that tests start to kill it (<c>tests/Vfio.Siege</c>).</summary>
/// <remarks>Its output is not redirected: for that the runtime makes an event loop of its own, whose descriptors stay.</remarks>
public sealed class SiegeProgram : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);
    private readonly Process _process;
    private readonly string _sign;

    private SiegeProgram(Process process, string sign)
    {
        _process = process;
        _sign = sign;
    }

    /// <summary>The executable that this build made.</summary>
    public static string Executable { get; } = Find();

    /// <summary>Starts it, with one more argument: a file that it makes when it is where it is to be.</summary>
    /// <param name="arguments">What it is to do.</param>
    public static SiegeProgram Start(params string[] arguments)
    {
        string sign = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        return new SiegeProgram(Process.Start(new ProcessStartInfo(Executable, [.. arguments, sign]))!, sign);
    }

    /// <summary>Waits until it is where it is to be.</summary>
    /// <returns>False when it has ended, or takes too long.</returns>
    public bool WaitUntilReady() => SpinWait.SpinUntil(() => File.Exists(_sign) || _process.HasExited, s_patience) && !_process.HasExited;

    /// <summary>Ends it with SIGKILL, and waits until it has gone.</summary>
    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_process.HasExited)
        {
            Kill();
        }

        _process.Dispose();
        File.Delete(_sign);
    }

    private static string Find()
    {
        // …/artifacts/bin/PROJECT/CONFIGURATION/
        DirectoryInfo own = new(AppContext.BaseDirectory);
        return Path.Combine(own.Parent!.Parent!.FullName, "Vfio.Siege", own.Name, "Vfio.Siege");
    }
}

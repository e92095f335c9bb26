using System.Globalization;

namespace Vfio.Tool.Serving;

/// <summary>Sockets that a service manager opened for this process (<c>sd_listen_fds(3)</c>).</summary>
internal static class SocketActivation
{
    private const int First = 3;

    /// <summary>The descriptors by name; those without a name are called <c>unknown</c>. None when this process was not activated.</summary>
    /// <remarks>The variables are taken away, so that programs started from here do not take them for theirs.</remarks>
    public static IReadOnlyList<(string Name, int Descriptor)> Take()
    {
        string? process = Take("LISTEN_PID");
        string? count = Take("LISTEN_FDS");
        string[] names = (Take("LISTEN_FDNAMES") ?? string.Empty).Split(':');
        return process == Environment.ProcessId.ToString(CultureInfo.InvariantCulture) && int.TryParse(count, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
            ? [.. Enumerable.Range(0, number).Select(i => (i < names.Length && names[i].Length > 0 ? names[i] : "unknown", First + i))]
            : [];
    }

    private static string? Take(string variable)
    {
        string? value = Environment.GetEnvironmentVariable(variable);
        Environment.SetEnvironmentVariable(variable, null);
        return value;
    }
}

namespace Vfio.Differential;

/// <summary>Where the devices stand, in the virtual machine and in our core alike.</summary>
internal static class Targets
{
    /// <summary>All of them.</summary>
    public static IReadOnlyList<Target> All { get; } = [Target.A, Target.B];

    /// <summary>The function as sysfs names it.</summary>
    public static string Address(Target target) => target == Target.A ? "0000:00:04.0" : "0000:01:00.0";
}

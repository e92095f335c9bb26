namespace Vfio.Qemu.Tests.Harness;

/// <summary>What tests ask of a guest again and again.</summary>
internal static class GuestMachineExtensions
{
    /// <summary>The kernel has met nothing that it should not: a device that writes to memory which its driver has given back shows in the strangest places.</summary>
    public static Task CheckKernelAsync(this GuestMachine guest) => guest.RunAsync("! dmesg | grep -E 'BUG:|Oops|segfault|general protection'");
}

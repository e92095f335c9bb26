using System.Globalization;
using System.Text.RegularExpressions;

namespace Vfio.Qemu.Tests;

/// <summary>Runs test classes of <c>Vfio.Guest</c> inside a guest.</summary>
internal static partial class GuestTestRun
{
    /// <summary>Runs one class against one device and gives the number of its tests, all of which succeeded.</summary>
    /// <param name="guest">The guest, with <see cref="DotnetProgram.GuestTests"/> in it.</param>
    /// <param name="testClass">The class's name in the namespace <c>Vfio.Guest</c>.</param>
    /// <param name="address">The device's address, which is all that the tests are told.</param>
    public static async Task<int> RunAsync(GuestMachine guest, string testClass, string address)
    {
        GuestResult result = await guest.TryRunAsync(
            $"""
            export VFIO_GUEST_DEVICE='{address}'
            {DotnetProgram.GuestTests.Command} -noLogo -noColor -class Vfio.Guest.{testClass} >/tmp/tests.out 2>&1; status=$?; cat /tmp/tests.out; exit $status
            """,
            TimeSpan.FromSeconds(300));
        Assert.True(result.Status == 0, result.Output);
        TestContext.Current.TestOutputHelper?.WriteLine(result.Output);
        Match summary = Summary().Match(result.Output);
        Assert.True(summary.Success && summary.Groups["bad"].Value == "0" && summary.Groups["failed"].Value == "0" && summary.Groups["skipped"].Value == "0", result.Output);
        return int.Parse(summary.Groups["total"].ValueSpan, CultureInfo.InvariantCulture);
    }

    [GeneratedRegex(@"Total: (?<total>\d+), Errors: (?<bad>\d+), Failed: (?<failed>\d+), Skipped: (?<skipped>\d+)", RegexOptions.ExplicitCapture)]
    private static partial Regex Summary();
}

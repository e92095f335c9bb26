using System.Text.RegularExpressions;
using Vfio.TestUtilities;

namespace Vfio.Kernel.Tests;

/// <summary>docs/findings.md has each finding, by the name that the tool prints.</summary>
public sealed partial class FindingsPageTests
{
    [Fact]
    public void Page_has_every_finding_with_its_title()
    {
        string[] declared = [.. Declaration().Matches(File.ReadAllText(Checkout.File("src/Vfio.Kernel/Doctor/Finding.cs"))).Select(static match => $"{match.Groups["id"].Value} {match.Groups["title"].Value}")];
        string[] described = [.. Section().Matches(File.ReadAllText(Checkout.File("docs/findings.md"))).Select(static match => $"{match.Groups["id"].Value} {match.Groups["title"].Value}")];
        Assert.NotEmpty(declared);
        Assert.Equal(declared, described, StringComparer.OrdinalIgnoreCase);
    }

    [GeneratedRegex("""\"(?<id>VFIO\d{4})\",\s+[^\"]+\"(?<title>[^\"]+)\",""", RegexOptions.ExplicitCapture)]
    private static partial Regex Declaration();

    [GeneratedRegex(@"^## (?<id>VFIO\d{4})\n\n\*\*(?<title>[^*]+)\.\*\*", RegexOptions.Multiline | RegexOptions.ExplicitCapture)]
    private static partial Regex Section();
}

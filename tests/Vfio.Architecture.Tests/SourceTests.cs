using System.CommandLine;
using System.Text.RegularExpressions;
using Vfio.TestUtilities;
using Vfio.Tool;

namespace Vfio.Architecture.Tests;

/// <summary>What may stand in sources and documents.</summary>
public sealed partial class SourceTests
{
    private static readonly string[] s_documents = ["README.md", "CHANGELOG.md", "docs", "eng", "devices", "drivers"];

    [Fact]
    public void Source_names_no_place_of_one_machine()
    {
        string machine = Environment.MachineName;
        List<string> found = [];
        foreach (string file in Files(["src", "devices", "drivers"], "*"))
        {
            string text = File.ReadAllText(file);
            Match match = HomeFolder().Match(text);
            if (match.Success)
            {
                found.Add($"{file}: {match.Value}");
            }

            // Short names are words.
            if (machine.Length >= 8 && text.Contains(machine, StringComparison.OrdinalIgnoreCase))
            {
                found.Add($"{file}: {machine}");
            }
        }

        Assert.Empty(found);
    }

    [Fact]
    public void Links_of_the_documents_lead_somewhere()
    {
        List<string> broken = [];
        foreach (string file in Files(s_documents, "*.md"))
        {
            foreach (Match link in Link().Matches(File.ReadAllText(file)))
            {
                string target = link.Groups[1].Value.Split('#')[0];
                string path = Path.Combine(Path.GetDirectoryName(file)!, target);
                if (target.Length > 0 && !target.Contains("://", StringComparison.Ordinal) && !File.Exists(path) && !Directory.Exists(path))
                {
                    broken.Add($"{file}: {target}");
                }
            }
        }

        Assert.Empty(broken);
    }

    [Fact]
    public void Commands_of_the_documents_exist()
    {
        HashSet<string> known = CommandLine.Create().Subcommands.Select(static command => command.Name).ToHashSet(StringComparer.Ordinal);
        List<string> wrong = [];
        int seen = 0;
        foreach (string file in Files(s_documents, "*.md"))
        {
            foreach (Match command in Command().Matches(File.ReadAllText(file)))
            {
                seen++;
                if (!known.Contains(command.Groups[1].Value))
                {
                    wrong.Add($"{file}: {command.Value}");
                }
            }
        }

        Assert.Empty(wrong);
        Assert.True(seen > 0);
        Assert.All((string[])["check", "demo", "vfio"], static script => Assert.True(File.Exists(Checkout.File(script)), script));
    }

    private static IEnumerable<string> Files(string[] places, string pattern) => places.Select(Checkout.File)
        .SelectMany(place => File.Exists(place) ? [place] : Directory.GetFiles(place, pattern, SearchOption.AllDirectories))
        .Where(static file => !file.Contains("/bin/", StringComparison.Ordinal) && !file.Contains("/obj/", StringComparison.Ordinal));

    [GeneratedRegex(@"/(home|Users|root|work)/\w+")]
    private static partial Regex HomeFolder();

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"(?:^|`|\s)(?:\./)vfio ([a-z]+)", RegexOptions.Multiline)]
    private static partial Regex Command();
}

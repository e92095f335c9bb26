namespace Vfio.Differential;

/// <summary>What the tree holds (<c>tests/Differential</c>): a kernel's results, the known differences and their reasons.</summary>
internal sealed class StoredResults
{
    private const string KernelPrefix = "linux-";
    private readonly Dictionary<string, IReadOnlyList<ScenarioResult>> _kernel = new(StringComparer.Ordinal);

    private StoredResults(string folder)
    {
        Folder = folder;
        KernelFolder = Directory.GetDirectories(folder, KernelPrefix + "*").Single();
        KernelVersion = Path.GetFileName(KernelFolder)[KernelPrefix.Length..];
        foreach (string file in Directory.GetFiles(KernelFolder, "*.txt"))
        {
            _kernel.Add(Path.GetFileNameWithoutExtension(file), Transcript.Parse(File.ReadAllText(file)));
        }

        Known = [.. Lines("different.txt").Select(KnownDifference.Parse)];
        Reasons = [.. Lines("reasons.txt").Select(static line => line.Split('\t', 2)).Select(static parts => new KeyValuePair<string, string>(parts[0], parts[1]))];
    }

    /// <summary>The folder.</summary>
    public string Folder { get; }

    /// <summary>The folder of the kernel's results.</summary>
    public string KernelFolder { get; }

    /// <summary>The kernel's version.</summary>
    public string KernelVersion { get; }

    /// <summary>The differences that have a reason.</summary>
    public IReadOnlyList<KnownDifference> Known { get; }

    /// <summary>The reasons: name and text.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Reasons { get; }

    /// <summary>The subjects that there are results of.</summary>
    public IEnumerable<string> Subjects => _kernel.Keys;

    /// <summary>Reads them.</summary>
    /// <param name="checkout">The root of the checkout.</param>
    public static StoredResults Load(string checkout) => new(Path.Combine(checkout, "tests/Differential"));

    /// <summary>The results of a subject, in the order of its scenarios.</summary>
    public IReadOnlyList<ScenarioResult> Of(string subject) => _kernel.GetValueOrDefault(subject) ?? [];

    /// <summary>The results of a scenario; null when there are none.</summary>
    public ScenarioResult? Find(string subject, string scenario) => Of(subject).FirstOrDefault(result => result.Name == scenario);

    private IEnumerable<string> Lines(string name)
        => File.ReadLines(Path.Combine(Folder, name)).Where(static line => line.Length > 0 && line[0] != '#');
}

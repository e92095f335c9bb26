using System.Diagnostics;
using Vfio.Differential;

return args switch
{
    ["kernel", string folder, ..] => Run(static () => new KernelSystem(), folder, args.ElementAtOrDefault(2)),
    ["core", string folder, ..] => Run(static () => new CoreSystem(), folder, args.ElementAtOrDefault(2)),
    ["compare", string checkout] => Compare(checkout, write: false),
    ["write", string checkout] => Compare(checkout, write: true),
    _ => Usage(),
};

// Runs the scenarios and writes the results, a file a subject.
static int Run(Func<IVfioSystem> createSystem, string folder, string? only)
{
    Directory.CreateDirectory(folder);
    foreach (Subject subject in AllScenarios.Subjects.Where(subject => only is null || subject.Name == only))
    {
        long started = Stopwatch.GetTimestamp();
        string text = Transcript.Format(subject.Scenarios.Select(scenario => ScenarioRunner.Run(scenario, createSystem)));
        File.WriteAllText(Path.Combine(folder, $"{subject.Name}.txt"), text);
        Console.WriteLine($"{subject.Name}: {subject.Scenarios.Count} scenarios, {Stopwatch.GetElapsedTime(started).TotalSeconds:F1} s");
    }

    return 0;
}

// Runs the scenarios on the core, and compares with what is stored and with the page, or writes the page.
static int Compare(string checkout, bool write)
{
    StoredResults stored = StoredResults.Load(checkout);
    List<Verdict> verdicts = [.. AllScenarios.Subjects.SelectMany(subject => subject.Scenarios.Select(scenario => Verdict.Of(subject, scenario, stored)))];
    List<string> problems = [.. Verdict.Strays(stored), .. verdicts.SelectMany(static verdict => verdict.Problems)];
    string path = Path.Combine(checkout, ReportPage.Path);
    string page = ReportPage.Format(stored, verdicts);
    if (write)
    {
        File.WriteAllText(path, page);
    }
    else if (!File.Exists(path) || File.ReadAllText(path) != page)
    {
        problems.Add($"{ReportPage.Path} is not up to date; write it with: eng/differential");
    }

    problems.ForEach(Console.WriteLine);
    Console.WriteLine(ReportPage.Summary(stored, verdicts));
    return problems.Count == 0 ? 0 : 1;
}

static int Usage()
{
    Console.Error.WriteLine("usage: Vfio.Differential kernel|core FOLDER [SUBJECT], or compare|write CHECKOUT");
    return 2;
}

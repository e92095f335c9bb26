using System.Diagnostics;
using Vfio.Differential;

// Vfio.Differential kernel|core FOLDER [SUBJECT]: runs the scenarios there and writes the results, a file a subject.
if (args is not ["kernel" or "core", string folder, ..])
{
    Console.Error.WriteLine("usage: Vfio.Differential kernel|core FOLDER [SUBJECT]");
    return 2;
}

Func<IVfioSystem> createSystem = args[0] == "kernel" ? static () => new KernelSystem() : static () => new CoreSystem();
Directory.CreateDirectory(folder);
foreach (Subject subject in AllScenarios.Subjects.Where(subject => args.Length < 3 || subject.Name == args[2]))
{
    long started = Stopwatch.GetTimestamp();
    string text = Transcript.Format(subject.Scenarios.Select(scenario => ScenarioRunner.Run(scenario, createSystem)));
    File.WriteAllText(Path.Combine(folder, $"{subject.Name}.txt"), text);
    Console.WriteLine($"{subject.Name}: {subject.Scenarios.Count} scenarios, {Stopwatch.GetElapsedTime(started).TotalSeconds:F1} s");
}

return 0;

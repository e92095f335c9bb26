namespace Vfio.Differential;

/// <summary>Runs scenarios on a system of their own each, for a limited time: a kernel that hangs in one does not hide the others.</summary>
internal static class ScenarioRunner
{
    /// <summary>The longest time of a scenario. Software emulation on a busy machine takes ten times as long as it should.</summary>
    public static TimeSpan Limit { get; } = TimeSpan.FromSeconds(60);

    /// <summary>Runs one.</summary>
    public static ScenarioResult Run(Scenario scenario, Func<IVfioSystem> createSystem)
    {
        List<TranscriptStep> steps = [];
        var thread = new Thread(() =>
        {
            List<TranscriptStep> own = Run(scenario, createSystem, out Exception? exception);
            if (exception is not null)
            {
                own.Add(new TranscriptStep("the scenario", $"{exception.GetType().Name}: {exception.Message.ReplaceLineEndings(" ")}", []));
            }

            steps = own;
        })
        {
            IsBackground = true,
        };
        thread.Start();
        return thread.Join(Limit)
            ? new ScenarioResult(scenario.Name, steps)
            : new ScenarioResult(scenario.Name, [new TranscriptStep("the scenario", $"no end within {Limit.TotalSeconds} s", [])]);
    }

    private static List<TranscriptStep> Run(Scenario scenario, Func<IVfioSystem> createSystem, out Exception? exception)
    {
        exception = null;
        using IVfioSystem system = createSystem();
        using var session = new Session(system);
        try
        {
            scenario.Run(session);
        }
        catch (Exception e)
        {
            // Whatever went wrong is a result like any other: it differs from the other side's.
            exception = e;
        }

        return session.Steps;
    }
}

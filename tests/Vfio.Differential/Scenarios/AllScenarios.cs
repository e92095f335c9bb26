namespace Vfio.Differential;

/// <summary>Every scenario, by subject.</summary>
internal static class AllScenarios
{
    public static IReadOnlyList<Subject> Subjects { get; } =
    [
        ContainerScenarios.Subject,
        GroupScenarios.Subject,
        Type1Scenarios.Subject,
        DirtyScenarios.Subject,
        CdevScenarios.Subject,
        IommufdScenarios.Subject,
        IoasScenarios.Subject,
        PageTableScenarios.Subject,
        CompatScenarios.Subject,
        InfoScenarios.Subject,
        RegionScenarios.Subject,
        ConfigScenarios.Subject,
        IrqScenarios.Subject,
        FeatureScenarios.Subject,
        ResetScenarios.Subject,
        IoEventFdScenarios.Subject,
        ExpressScenarios.Subject,
    ];
}

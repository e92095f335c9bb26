namespace Vfio.Pci;

/// <summary>A device's declaration has mistakes. All of them are listed, each with what is accepted.</summary>
public sealed class PciConfigurationException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="mistakes">One sentence for each mistake.</param>
    public PciConfigurationException(IReadOnlyList<string> mistakes)
        : base(Format(mistakes))
    {
        Mistakes = mistakes;
    }

    /// <summary>One sentence for each mistake.</summary>
    public IReadOnlyList<string> Mistakes { get; }

    private static string Format(IReadOnlyList<string> mistakes)
    {
        ArgumentNullException.ThrowIfNull(mistakes);
        return mistakes.Count == 1
            ? "The device's declaration has a mistake: " + mistakes[0]
            : $"The device's declaration has {mistakes.Count} mistakes:\n - " + string.Join("\n - ", mistakes);
    }
}

namespace Vfio.TestUtilities;

/// <summary>A test has left descriptors or mappings behind.</summary>
public sealed class DescriptorLeakException : Exception
{
    /// <summary>Makes the exception from the list of what was left.</summary>
    /// <param name="leaks">One line each.</param>
    public DescriptorLeakException(IReadOnlyList<string> leaks)
        : base($"Left behind: {string.Join("; ", leaks)}")
    {
    }
}

namespace Vfio.TestUtilities;

/// <summary>
/// A <see cref="DescriptorLeakGuard"/> around all tests of a class (<c>IClassFixture&lt;DescriptorLeakFixture&gt;</c>) or of a program
/// (<c>[assembly: AssemblyFixture(…)]</c>): the runner reports a leak as a failure of the clean-up.
/// </summary>
public sealed class DescriptorLeakFixture : IDisposable
{
    private readonly DescriptorLeakGuard _guard = new();

    /// <inheritdoc/>
    public void Dispose() => _guard.Dispose();
}

namespace Vfio.Drivers.Edu.Tests;

public sealed class EduDriverLocalTests : EduDriverTests
{
    protected override string Scheme => "local";
}

namespace Vfio.Drivers.Edu.Tests;

public sealed class EduDriverUnixTests : EduDriverTests
{
    protected override string Scheme => "unix";
}

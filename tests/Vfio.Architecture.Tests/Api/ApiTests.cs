using System.Reflection;
using Vfio.TestUtilities;

namespace Vfio.Architecture.Tests.Api;

/// <summary>The public API of each library is the one in <c>docs/api</c>; VFIO_UPDATE_API=1 writes it there.</summary>
public sealed class ApiTests
{
    public static TheoryData<string> Names =>
        [.. Projects.Files.Where(static file => file.StartsWith(Checkout.File("src"), StringComparison.Ordinal)).Select(Projects.Name).Where(static name => name is not ("Vfio.Tool" or "Vfio.Pci.Generators"))];

    [Theory]
    [MemberData(nameof(Names))]
    public void Api_of_the_library_is_the_written_one(string name)
    {
        string[] actual = ApiText.Describe(Assembly.LoadFrom(Path.Combine(AppContext.BaseDirectory, $"{name}.dll")));
        string file = Checkout.File($"docs/api/{name}.txt");
        if (Environment.GetEnvironmentVariable("VFIO_UPDATE_API") == "1")
        {
            File.WriteAllLines(file, actual);
        }

        string[] written = File.Exists(file) ? File.ReadAllLines(file) : [];
        string changes = string.Join('\n', written.Except(actual).Select(static line => $"- {line}").Concat(actual.Except(written).Select(static line => $"+ {line}")));
        Assert.True(actual.SequenceEqual(written), $"The API of {name} is not the one in {file}:\n{changes}\nIf this is meant, run these tests with VFIO_UPDATE_API=1 and commit what they write.");
    }

    [Fact]
    public void Every_written_api_is_of_a_library()
        => Assert.Equal(Names.Select(static row => row.Data).Order(StringComparer.Ordinal), Directory.GetFiles(Checkout.File("docs/api"), "*.txt").Select(static file => Path.GetFileNameWithoutExtension(file)).Order(StringComparer.Ordinal));
}

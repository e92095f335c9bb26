using Vfio.TestUtilities;

namespace Vfio.Architecture.Tests.Readme;

/// <summary>Code in documents is code that this project compiles.</summary>
internal static class Snippets
{
    /// <summary>Asserts that every C# block of a document stands in a source file of this folder, but for indentation.</summary>
    public static void AssertCompiled(string document)
    {
        string text = File.ReadAllText(Path.Combine(Checkout.Root, document));
        string sources = Lines(string.Join("\n", Directory.GetFiles(Checkout.File("tests/Vfio.Architecture.Tests/Readme"), "*.cs").Select(File.ReadAllText)));
        string[] pieces = text.Split("```csharp\n");
        Assert.True(pieces.Length > 3);
        foreach (string piece in pieces[1..])
        {
            Assert.Contains(Lines(piece[..piece.IndexOf("```", StringComparison.Ordinal)]).Trim(), sources, StringComparison.Ordinal);
        }

        static string Lines(string text) => string.Join('\n', text.Split('\n').Select(static line => line.Trim()));
    }
}

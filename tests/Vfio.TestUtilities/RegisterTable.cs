namespace Vfio.TestUtilities;

/// <summary>A table of registers in a README, between the comments <c>registers</c> and <c>end of registers</c>, or those of another name.</summary>
public static class RegisterTable
{
    /// <summary>Reads a README and what it is to be. With <c>VFIO_UPDATE_DOCS=1</c> it is written first; the comparison always follows.</summary>
    /// <param name="readme">Its path from the root of the checkout.</param>
    /// <param name="declared">The table as the registers are declared.</param>
    /// <param name="name">The table's name in its comments.</param>
    /// <returns>The README with the declared table, and as it is.</returns>
    public static (string Expected, string Actual) Read(string readme, string declared, string name = "registers")
    {
        string path = Checkout.File(readme);
        string begin = $"<!-- {name} -->\n";
        string text = File.ReadAllText(path);
        int start = text.IndexOf(begin, StringComparison.Ordinal) + begin.Length;
        string expected = text[..start] + declared + text[text.IndexOf($"<!-- end of {name} -->", StringComparison.Ordinal)..];
        if (Environment.GetEnvironmentVariable("VFIO_UPDATE_DOCS") == "1")
        {
            File.WriteAllText(path, expected);
        }

        return (expected, File.ReadAllText(path));
    }
}

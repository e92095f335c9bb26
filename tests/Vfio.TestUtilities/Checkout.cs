namespace Vfio.TestUtilities;

/// <summary>The checkout that the tests were built from. Found from the build output, which is inside it: source paths in a build of CI are not real.</summary>
public static class Checkout
{
    /// <summary>The root folder.</summary>
    /// <exception cref="InvalidOperationException">The tests do not run from a checkout.</exception>
    public static string Root { get; } = Find();

    /// <summary>A file or folder of the checkout.</summary>
    /// <param name="path">Its path from the root.</param>
    public static string File(string path) => Path.Combine(Root, path);

    private static string Find()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !System.IO.File.Exists(Path.Combine(folder, "Vfio.slnx")))
        {
            folder = Path.GetDirectoryName(folder);
        }

        return folder ?? throw new InvalidOperationException("The tests do not run from a checkout.");
    }
}

using System.Text;

namespace Vfio.Pci.Generators.Model;

/// <summary>How names of one language become names of another.</summary>
internal static class Names
{
    /// <summary><c>InterruptStatus</c> as <c>interrupt status</c>.</summary>
    public static string Words(string identifier)
    {
        var text = new StringBuilder();
        for (int i = 0; i < identifier.Length; i++)
        {
            char c = identifier[i];
            bool starts = i > 0 && char.IsUpper(c) && (!char.IsUpper(identifier[i - 1]) || (i + 1 < identifier.Length && char.IsLower(identifier[i + 1])));
            if (starts)
            {
                text.Append(' ');
            }

            bool isAcronym = char.IsUpper(c) && ((i + 1 < identifier.Length && char.IsUpper(identifier[i + 1])) || (i > 0 && char.IsUpper(identifier[i - 1]) && !starts));
            text.Append(isAcronym ? c : char.ToLowerInvariant(c));
        }

        return text.ToString();
    }

    /// <summary><c>interrupt status</c> as <c>INTERRUPT_STATUS</c>.</summary>
    public static string Macro(string name)
    {
        var text = new StringBuilder();
        foreach (char c in name)
        {
            bool isWord = c is (>= 'a' and <= 'z') or (>= 'A' and <= 'Z') or (>= '0' and <= '9');
            if (isWord)
            {
                text.Append(char.ToUpperInvariant(c));
            }
            else if (text.Length > 0 && text[text.Length - 1] != '_')
            {
                text.Append('_');
            }
        }

        return text.ToString().TrimEnd('_');
    }
}

using System.Globalization;

namespace Vfio.Abi.Tests;

/// <summary>The facts that are written down in <c>Reference/*.txt</c>, apart from the C# sources.</summary>
public static class ReferenceTable
{
    public static IReadOnlyDictionary<string, string> Read(params string[] files)
    {
        Dictionary<string, string> result = new(StringComparer.Ordinal);
        foreach (string file in files)
        {
            using Stream stream = typeof(ReferenceTable).Assembly.GetManifestResourceStream(file)
                ?? throw new InvalidOperationException($"The reference {file} is not embedded.");
            using StreamReader reader = new(stream);
            while (reader.ReadLine() is { } line)
            {
                if (line.Length == 0 || line[0] == '#')
                {
                    continue;
                }

                string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                switch (words[0])
                {
                    case "const":
                        result.Add(words[1], Normalize(words[2]));
                        break;
                    case "struct":
                        result.Add(words[1], words[2]);
                        foreach (string field in words[3..])
                        {
                            string[] parts = field.Split('@');
                            result.Add($"{words[1]}.{parts[0]}", parts[1]);
                        }

                        break;
                    default:
                        throw new InvalidDataException($"{file}: {line}");
                }
            }
        }

        return result;
    }

    private static string Normalize(string value) => value[0] == '"' ? value
        : value.StartsWith("0x", StringComparison.Ordinal)
            ? $"{ulong.Parse(value.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture)}"
            : $"{ulong.Parse(value, CultureInfo.InvariantCulture)}";
}

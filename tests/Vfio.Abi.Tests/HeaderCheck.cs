using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Vfio.Abi.Tests;

/// <summary>
/// Has gcc compare the facts with its headers: one <c>_Static_assert</c> a line, so that a failed assertion is a disagreement and any other error on the
/// line means that these headers do not know the symbol.
/// </summary>
public sealed partial class HeaderCheck
{
    private HeaderCheck(HashSet<string> agreed, HashSet<string> unknown, List<string> disagreements)
    {
        Agreed = agreed;
        Unknown = unknown;
        Disagreements = disagreements;
    }

    /// <summary>A directory with <c>linux/vfio.h</c> and <c>linux/iommufd.h</c> of Linux 7.3; null for the system's.</summary>
    public static string? HeaderDirectory
    {
        get
        {
            string? value = Environment.GetEnvironmentVariable("VFIO_UAPI_HEADERS");
            return string.IsNullOrEmpty(value) ? null : value;
        }
    }

    public IReadOnlySet<string> Agreed { get; }

    public IReadOnlySet<string> Unknown { get; }

    public IReadOnlyList<string> Disagreements { get; }

    public static HeaderCheck Run(IEnumerable<AbiSymbol> symbols)
    {
        StringBuilder source = new("""
            #include <stddef.h>
            #include <errno.h>
            #include <linux/types.h>
            #include <linux/vfio.h>
            #if __has_include(<linux/iommufd.h>)
            #include <linux/iommufd.h>
            #endif

            """);
        int line = source.ToString().Count(c => c == '\n');
        Dictionary<int, AbiSymbol> byLine = [];
        foreach (AbiSymbol symbol in symbols)
        {
            source.Append(Assertion(symbol)).Append('\n');
            byLine.Add(++line, symbol);
        }

        HashSet<string> failed = [];
        HashSet<string> unknown = [];
        List<string> disagreements = [];
        foreach (Match match in ErrorLine().Matches(Compile(source.ToString())))
        {
            int number = int.Parse(match.Groups["line"].Value, CultureInfo.InvariantCulture);
            string message = match.Groups["message"].Value;
            if (!byLine.TryGetValue(number, out AbiSymbol? symbol))
            {
                throw new InvalidOperationException($"gcc does not like the generated file: {match.Value}");
            }

            if (message.StartsWith("static assertion failed", StringComparison.Ordinal))
            {
                failed.Add(symbol.Name);
            }
            else
            {
                unknown.Add(symbol.Name);
            }
        }

        // Older headers may lack fields at the end of a structure; its size is then not theirs to judge.
        foreach (AbiSymbol symbol in byLine.Values)
        {
            if (symbol is { Structure: not null, Field: null }
                && byLine.Values.Any(other => other.Field is not null && other.Structure == symbol.Structure && unknown.Contains(other.Name)))
            {
                unknown.Add(symbol.Name);
            }

            if (failed.Contains(symbol.Name) && !unknown.Contains(symbol.Name))
            {
                disagreements.Add($"{symbol.Name}: the headers do not have {symbol.Expected}");
            }
        }

        HashSet<string> agreed = [.. byLine.Values.Select(symbol => symbol.Name).Where(name => !unknown.Contains(name) && !failed.Contains(name))];
        return new HeaderCheck(agreed, unknown, disagreements);
    }

    private static string Assertion(AbiSymbol symbol)
    {
        if (symbol.Field is not null)
        {
            string[] parts = symbol.Expected.Split('/');
            string member = $"((struct {symbol.Structure} *)0)->{symbol.Field}";
            string condition = $"offsetof(struct {symbol.Structure}, {symbol.Field}) == {parts[0]} && sizeof({member}) == {parts[1]}";
            if (symbol.IsSigned is bool signed && symbol.Name != "vfio_bitmap.data")
            {
                // vfio_bitmap.data is a pointer in C, which has no sign.
                condition += $" && ((__typeof__({member}))-1 < 1) == {(signed ? 1 : 0)}";
            }

            return $"_Static_assert({condition}, \"x\");";
        }

        if (symbol.Structure is not null)
        {
            return $"_Static_assert(sizeof(struct {symbol.Structure}) == {symbol.Expected}, \"x\");";
        }

        return symbol.Expected[0] == '"'
            ? $"_Static_assert(sizeof({symbol.Name}) == sizeof({symbol.Expected}) && __builtin_strcmp({symbol.Name}, {symbol.Expected}) == 0, \"x\");"
            : $"_Static_assert((unsigned int)({symbol.Name}) == {symbol.Expected}u, \"x\");";
    }

    private static string Compile(string source)
    {
        ProcessStartInfo start = new("gcc") { RedirectStandardInput = true, RedirectStandardError = true };
        start.Environment["LC_ALL"] = "C";
        foreach (string argument in (string[])["-fsyntax-only", "-std=gnu11", "-fmax-errors=0", "-x", "c"])
        {
            start.ArgumentList.Add(argument);
        }

        if (HeaderDirectory is { } directory)
        {
            Assert.True(File.Exists(Path.Combine(directory, "linux/vfio.h")), $"VFIO_UAPI_HEADERS={directory} has no linux/vfio.h.");
            start.ArgumentList.Add("-I");
            start.ArgumentList.Add(directory);
        }

        start.ArgumentList.Add("-");
        using Process process = Process.Start(start) ?? throw new InvalidOperationException("gcc did not start.");
        Task<string> errors = process.StandardError.ReadToEndAsync();
        process.StandardInput.Write(source);
        process.StandardInput.Close();
        Assert.True(process.WaitForExit(TimeSpan.FromMinutes(1)), "gcc did not finish.");
        string output = errors.GetAwaiter().GetResult();
        if (output.Contains("fatal error", StringComparison.Ordinal))
        {
            throw new InvalidOperationException(output);
        }

        return output;
    }

    [GeneratedRegex(@"^<stdin>:(?<line>\d+):\d+: error: (?<message>.*)$", RegexOptions.Multiline | RegexOptions.ExplicitCapture)]
    private static partial Regex ErrorLine();
}

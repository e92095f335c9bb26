using Spectre.Console;

namespace Vfio.Tool.Output;

/// <summary>A table on standard output: drawn on a terminal, plain columns anywhere else.</summary>
internal sealed class Table(params string[] headers)
{
    private readonly List<string[]> _rows = [];

    public void Add(params string[] cells) => _rows.Add(cells);

    public void Print()
    {
        if (Console.IsOutputRedirected)
        {
            PrintPlain();
        }
        else
        {
            PrintDrawn();
        }
    }

    private void PrintPlain()
    {
        int[] widths = [.. headers.Select((header, i) => Math.Max(header.Length, _rows.Count == 0 ? 0 : _rows.Max(row => row[i].Length)))];
        foreach (string[] row in _rows.Prepend(headers))
        {
            Console.WriteLine(string.Join("  ", row.Select((cell, i) => i == row.Length - 1 ? cell : cell.PadRight(widths[i]))));
        }
    }

    private void PrintDrawn()
    {
        Spectre.Console.Table table = new() { Border = TableBorder.Rounded };
        foreach (string header in headers)
        {
            table.AddColumn(new TableColumn(Markup.Escape(header)));
        }

        foreach (string[] row in _rows)
        {
            table.AddRow([.. row.Select(Markup.Escape)]);
        }

        AnsiConsole.Write(table);
    }
}

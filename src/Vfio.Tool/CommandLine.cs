using System.CommandLine;
using System.CommandLine.Parsing;
using Vfio.Linux;
using Vfio.Tool.Commands;

namespace Vfio.Tool;

/// <summary>The <c>vfio</c> command: what it accepts, and how it ends.</summary>
/// <remarks>Exit status 0: success; 1: the operation failed; 2: wrong use. Errors go to standard error, one clear line each.</remarks>
internal static class CommandLine
{
    public const int Success = 0;
    public const int Failed = 1;
    public const int WrongUse = 2;

    public static RootCommand Create() => new("PCI devices and drivers in C#: serve, inspect and try them.")
    {
        DemoCommand.Create(),
        DevicesCommand.Create(),
        ServeCommand.Create(),
        VmCommand.Create(),
        InfoCommand.Create(),
        LspciCommand.Create(),
        ReadCommand.Create(),
        WriteCommand.Create(),
    };

    public static async Task<int> RunAsync(string[] args)
    {
        ParseResult parsed = Create().Parse(args);
        if (parsed.Errors.Count > 0)
        {
            foreach (ParseError error in parsed.Errors)
            {
                await Console.Error.WriteLineAsync($"vfio: {error.Message}");
            }

            await Console.Error.WriteLineAsync($"Try: {CommandPath(parsed.CommandResult)} --help");
            return WrongUse;
        }

        try
        {
            return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (UsageException exception)
        {
            await Console.Error.WriteLineAsync($"vfio: {exception.Message}");
            return WrongUse;
        }
        catch (Exception exception) when (exception is VfioException or LinuxException or IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"vfio: {exception.Message}");
            return Failed;
        }
    }

    private static string CommandPath(CommandResult result)
    {
        List<string> names = [];
        for (SymbolResult? at = result; at is CommandResult command; at = at.Parent)
        {
            names.Insert(0, command.Command is RootCommand ? "vfio" : command.Command.Name);
        }

        return string.Join(' ', names);
    }
}

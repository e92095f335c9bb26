using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Parsing;
using Vfio.Linux;
using Vfio.Tool.Commands;
using Vfio.Tool.Commands.Nvme;

namespace Vfio.Tool;

/// <summary>The <c>vfio</c> command: what it accepts, and how it ends.</summary>
/// <remarks>Exit status 0: success; 1: the operation failed; 2: wrong use. Errors go to standard error, one clear line each.</remarks>
internal static class CommandLine
{
    public const int Success = 0;
    public const int Failed = 1;
    public const int WrongUse = 2;

    // A plain command as the root: a RootCommand takes its name from the executable, which is not what people type.
    public static Command Create() => new("vfio", "PCI devices and drivers in C#: serve, inspect and try them.")
    {
        new HelpOption(),
        new VersionOption(),
        DemoCommand.Create(),
        DevicesCommand.Create(),
        ServeCommand.Create(),
        PsCommand.Create(),
        VmCommand.Create(),
        RunCommand.Create(),
        InfoCommand.Create(),
        LspciCommand.Create(),
        ReadCommand.Create(),
        WriteCommand.Create(),
        BenchCommand.Create(),
        NvmeCommand.Create(),
        KernelCommands.CreateList(),
        KernelCommands.CreateDoctor(),
        KernelCommands.CreateBind(),
        KernelCommands.CreateUnbind(),
    };

    public static async Task<int> RunAsync(string[] args)
    {
        ParseResult parsed = Create().Parse(args);
        if (parsed.Errors.Count > 0)
        {
            await Console.Error.WriteLineAsync($"vfio: {Explain(parsed)}");
            await Console.Error.WriteLineAsync($"Try: {CommandPath(parsed.CommandResult)} --help");
            return WrongUse;
        }

        try
        {
            return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (UsageException exception)
        {
            await Console.Error.WriteLineAsync($"vfio: {exception.Message.ReplaceLineEndings(" ")}");
            return WrongUse;
        }
        catch (Exception exception) when (exception is VfioException or LinuxException or IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"vfio: {exception.Message.ReplaceLineEndings(" ")}");
            return Failed;
        }
    }

    /// <summary>What is wrong with a command line, in one line.</summary>
    private static string Explain(ParseResult parsed)
    {
        Command command = parsed.CommandResult.Command;
        if (parsed.CommandResult.Parent is null)
        {
            string commands = string.Join(", ", command.Subcommands.Select(static known => known.Name));
            return parsed.UnmatchedTokens.Count == 0 ? $"Name a command: {commands}." : $"'{parsed.UnmatchedTokens[0]}' is no command; {commands} are.";
        }

        string[] missing = [.. command.Arguments.Where(argument => argument.Arity.MinimumNumberOfValues > 0 && parsed.GetResult(argument) is not { Tokens.Count: > 0 }).Select(static argument => argument.Name)];
        return missing.Length > 0
            ? $"{command.Name} lacks {string.Join(", ", missing)}; it takes {string.Join(' ', command.Arguments.Select(static argument => $"<{argument.Name}>"))}."
            : string.Join(' ', parsed.Errors.Select(static error => error.Message.ReplaceLineEndings(" ")).Distinct());
    }

    private static string CommandPath(CommandResult result)
    {
        List<string> names = [];
        for (SymbolResult? at = result; at is CommandResult command; at = at.Parent)
        {
            names.Insert(0, command.Command.Name);
        }

        return string.Join(' ', names);
    }
}

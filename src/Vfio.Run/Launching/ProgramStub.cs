using System.Globalization;
using System.Text;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>
/// The process that becomes the program: it puts the filter on itself, hands the listener's number to the supervisor, waits until that is ready, and executes
/// the program.
/// </summary>
public static unsafe class ProgramStub
{
    /// <summary>The first argument of an executable that is asked to be the stub.</summary>
    public const string Command = "__exec";

    private const int CannotExecute = 126;
    private const int NotFound = 127;
    private const nint CallRead = 0;
    private const nint CallWrite = 1;
    private const nint CallProcessControl = 157;
    private const int SignalPipe = 13;
    private const int SetDescriptorFlags = 2;
    private const int CloseOnExec = 1;
    private const int KillSignal = 9;

    /// <summary>Executes the program. Does not return when that succeeds.</summary>
    /// <param name="arguments">The arguments behind <see cref="Command"/>, as <see cref="Launch"/> wrote them.</param>
    /// <returns>The exit status: 126 when the program can't be executed, 127 when it is not there; what went wrong was told to the supervisor.</returns>
    public static int Run(IReadOnlyList<string> arguments)
    {
        int socket = int.Parse(arguments[0], CultureInfo.InvariantCulture);
        DescriptorRange range = new(int.Parse(arguments[1], CultureInfo.InvariantCulture), int.Parse(arguments[2], CultureInfo.InvariantCulture));
        bool traces = arguments[3] == "trace";
        ulong limit = ulong.Parse(arguments[4], CultureInfo.InvariantCulture);
        List<byte[]> words = Split(File.ReadAllBytes("/proc/self/cmdline"));
        int path = words.FindIndex(static word => word.AsSpan().SequenceEqual(Encoding.UTF8.GetBytes(Command))) + 6;
        using NativeStrings program = new(words[(path + 1)..]);
        using NativeStrings environment = new(Split(File.ReadAllBytes("/proc/self/environ")));
        byte[] executable = [.. words[path], 0];
        Interop.FilterInstruction[] filter = SystemCallFilter.Compose(range, traces);
        using FileDescriptor control = new(socket, ownsHandle: true);
        _ = Interop.Fcntl(control, SetDescriptorFlags, CloseOnExec);
        Restore(limit);

        // From the filter on this thread's own calls may wait for the supervisor, which does not have the listener yet: nothing is done between that a
        // runtime could need a file for, and the one import that is used has been used before.
        fixed (Interop.FilterInstruction* first = filter)
        {
            Interop.FilterProgram list = new() { Length = (ushort)filter.Length, Instructions = first };
            int answer = 0;
            _ = Interop.SystemCall(CallProcessControl, Interop.ProcessSetParentDeathSignal, KillSignal, 0, 0);
            nint listener = Interop.ProcessControl(Interop.ProcessSetNoNewPrivileges, 1, 0, 0, 0);
            if (listener == 0)
            {
                listener = Interop.SystemCall(
                    Interop.CallSeccomp, Interop.SeccompSetModeFilter, Interop.SeccompNewListener | Interop.SeccompWaitKillable, (nint)(&list), 0);
            }

            int told = listener < 0 ? -(int)Interop.LastError : (int)listener;
            _ = Interop.SystemCall(CallWrite, socket, (nint)(&told), sizeof(int), 0);
            if (listener < 0 || Interop.SystemCall(CallRead, socket, (nint)(&answer), sizeof(int), 0) != sizeof(int))
            {
                return NotFound;
            }

            Errno error = ProcessSpawner.Replace(executable, program, environment);
            told = -(int)error;
            _ = Interop.SystemCall(CallWrite, socket, (nint)(&told), sizeof(int), 0);
            return error == Errno.ENOENT ? NotFound : CannotExecute;
        }
    }

    /// <summary>Undoes what the runtime did to this process: the program is to find it as the supervisor's parent left it.</summary>
    private static void Restore(ulong limit)
    {
        byte* action = stackalloc byte[Interop.SignalActionSize];
        new Span<byte>(action, Interop.SignalActionSize).Clear();
        Interop.ResourceLimit files = default;

        // SAFETY: a zeroed action is the default one; the limit is a local.
        _ = Interop.SetSignalAction(SignalPipe, action, null);
        if (Interop.ProcessLimit(0, Interop.LimitOpenFiles, null, &files) == 0 && limit < files.Hard)
        {
            files.Soft = limit;
            _ = Interop.ProcessLimit(0, Interop.LimitOpenFiles, &files, null);
        }
    }

    /// <summary>The words of a list in which each ends with a zero.</summary>
    private static List<byte[]> Split(byte[] list)
    {
        List<byte[]> words = [];
        int start = 0;
        for (int end = 0; end < list.Length; end++)
        {
            if (list[end] == 0)
            {
                words.Add(list[start..end]);
                start = end + 1;
            }
        }

        return words;
    }
}

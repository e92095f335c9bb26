using System.Text;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>Tells each call that was served, as strace would, and why one failed.</summary>
internal sealed class CallTrace(TextWriter writer, VfioHost host)
{
    private readonly Lock _lock = new();

    /// <summary>The file of ours that a call is on, asked before the call is served: a close takes it away.</summary>
    /// <returns>The file; null for calls on paths and on files of others.</returns>
    public static OpenFile? FileOf(SupervisedProcess process, in SystemCallNotice call)
        => IsOnPath(call.Number) ? null : process.Find((int)call[0]);

    /// <summary>Tells a call.</summary>
    /// <param name="process">The caller.</param>
    /// <param name="call">The call.</param>
    /// <param name="file">The file that it is on.</param>
    /// <param name="result">Its result; null when the kernel gives it.</param>
    public void Tell(SupervisedProcess process, in SystemCallNotice call, OpenFile? file, IoResult? result)
    {
        if (file is null && result is null)
        {
            return;
        }

        StringBuilder text = new();
        text.Append('[').Append(call.ThreadId).Append("] ");
        string? why = null;
        Errno error = result?.Error ?? Errno.None;
        if (file is null)
        {
            CallText.WritePathCall(text, process, in call);
            why = error == Errno.None ? null : PathAdvice(process, in call, error);
        }
        else if (call.Number == SystemCall.Ioctl)
        {
            CallText.WriteIoctl(text, process, (int)call[0], file, (uint)call[1], call[2]);
            why = error == Errno.None ? null : CallAdvice.OfIoctl(process, file, (uint)call[1], call[2], error);
        }
        else
        {
            CallText.WriteFileCall(text, process, in call, file);
            why = error != Errno.None && CallText.Transfers(call.Number) ? CallAdvice.OfTransfer(file, error) : null;
        }

        WriteResult(text, process, in call, result);
        if (why is not null)
        {
            text.Append(" (").Append(why).Append(')');
        }

        WriteLine(text.ToString());
    }

    /// <summary>Tells an access of the program's to a device that it has mapped.</summary>
    /// <param name="processId">The process.</param>
    /// <param name="file">The device's file.</param>
    /// <param name="position">The position in it.</param>
    /// <param name="isWrite">Whether it was a store.</param>
    /// <param name="value">The bytes.</param>
    /// <param name="error">What the device said.</param>
    public void TellAccess(int processId, OpenFile file, ulong position, bool isWrite, ReadOnlySpan<byte> value, Errno error)
    {
        StringBuilder text = new();
        text.Append('[').Append(processId).Append("] ").Append(isWrite ? "store " : "load ").Append(file.Path).Append(' ');
        RegionPosition.Write(text, file, position);
        text.Append(isWrite ? " <- 0x" : " = 0x");
        for (int i = value.Length - 1; i >= 0; i--)
        {
            text.Append(value[i].ToString("x2", System.Globalization.CultureInfo.InvariantCulture));
        }

        WriteLine(error == Errno.None ? text.ToString() : text.Append(' ').Append(error.GetName()).ToString());
    }

    private static void WriteResult(StringBuilder text, SupervisedProcess process, in SystemCallNotice call, IoResult? result)
    {
        text.Append(" = ");
        if (result is not { } answer)
        {
            // The kernel executes it, on what stands for the file.
            text.Append(call.Number == SystemCall.Close ? '0' : '?');
        }
        else if (answer.IsError)
        {
            text.Append("-1 ").Append(answer.Error.GetName());
        }
        else if (MakesDescriptor(in call))
        {
            CallText.WriteDescriptor(text, (int)answer.Value, process.Find((int)answer.Value));
        }
        else
        {
            text.Append(answer.Value);
        }
    }

    private string? PathAdvice(SupervisedProcess process, in SystemCallNotice call, Errno error)
    {
        ulong address = call.Number is SystemCall.Open or SystemCall.Create ? call[0] : call.Number is SystemCall.OpenAt or SystemCall.OpenAt2 ? call[1] : 0;
        return address != 0 && CallerText.TryReadPath(process.Memory, address, out string path) == Errno.None ? CallAdvice.OfOpen(path, host, error) : null;
    }

    private static bool MakesDescriptor(in SystemCallNotice call) => call.Number switch
    {
        SystemCall.Open or SystemCall.OpenAt or SystemCall.OpenAt2 or SystemCall.Duplicate or SystemCall.Fcntl => true,
        SystemCall.Ioctl => (uint)call[1] == VfioUapi.VFIO_GROUP_GET_DEVICE_FD,
        _ => false,
    };

    private static bool IsOnPath(int number) => number is SystemCall.Open or SystemCall.Create or SystemCall.OpenAt or SystemCall.OpenAt2 or SystemCall.Stat or SystemCall.LStat
        or SystemCall.StatAt or SystemCall.StatX or SystemCall.Access or SystemCall.AccessAt or SystemCall.AccessAt2 or SystemCall.ReadLink or SystemCall.ReadLinkAt
        or SystemCall.ChangeDirectory or SystemCall.Execute or SystemCall.ExecuteAt or SystemCall.CloseRange or SystemCall.Map;

    private void WriteLine(string text)
    {
        lock (_lock)
        {
            writer.WriteLine(text);
            writer.Flush();
        }
    }
}

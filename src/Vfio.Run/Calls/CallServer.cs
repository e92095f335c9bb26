using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>Serves the calls that come to one thread of the supervisor.</summary>
internal sealed partial class CallServer
{
    private readonly Supervision _supervision;
    private readonly SystemCallListener _listener;
    private readonly CallerFiles _files;
    private readonly ReceiverTurn _turn;

    public CallServer(Supervision supervision, SystemCallListener listener, DescriptorRange range, ReceiverTurn turn)
    {
        _turn = turn;
        _supervision = supervision;
        _listener = listener;
        _range = range;
        _files = new CallerFiles(supervision.Files, listener, range);
    }

    private readonly DescriptorRange _range;

    /// <summary>Receives and serves calls, when it has the turn, until nobody is left who could make one.</summary>
    public void Run()
    {
        try
        {
            while (_turn.Take() && ReceiveWhileItsTurn())
            {
            }
        }
        catch (ObjectDisposedException) when (_supervision.HasEnded)
        {
            // The program ended, and what served it with it; a process that it left behind gets ENOSYS.
        }
    }

    /// <returns>Whether the turn was passed on; otherwise there will be no calls any more.</returns>
    private bool ReceiveWhileItsTurn()
    {
        while (!_supervision.HasEnded)
        {
            Errno error = _listener.TryReceive(out SystemCallNotice call);
            if (error == Errno.None)
            {
                long number = _turn.Begin();
                Serve(in call);
                if (!_turn.End(number))
                {
                    return true;
                }
            }
            else if (error != Errno.ENOENT)
            {
                break;
            }
        }

        _turn.Stop();
        return false;
    }

    private void Serve(in SystemCallNotice call)
    {
        if (_supervision.Processes.Find(call.ThreadId) is not { } process)
        {
            _listener.Continue(call.Id);
            return;
        }

        _files.Begin(process, call.Id);
        ProgramCaller.Set(process);
        try
        {
            OpenFile? traced = _supervision.Trace is null ? null : CallTrace.FileOf(process, in call);
            IoResult? result = Dispatch(process, in call);
            _supervision.Trace?.Tell(process, in call, traced, result);
            if (result is { } answer)
            {
                Answer(call.Id, answer);
            }
            else
            {
                _listener.Continue(call.Id);
            }
        }
        catch (Exception exception) when (exception is not ObjectDisposedException)
        {
            // A mistake of a device or of ours: the program gets an error, and the others go on.
            _supervision.LogMistake(call.Number, exception);
            _listener.Fail(call.Id, Errno.EIO);
        }
        finally
        {
            _files.End();
            ProgramCaller.Set(null);
        }
    }

    /// <summary>Executes a call.</summary>
    /// <returns>Its result; null to let the kernel execute it.</returns>
    private IoResult? Dispatch(SupervisedProcess process, in SystemCallNotice call)
    {
        switch (call.Number)
        {
            case SystemCall.Ioctl:
                return Ioctl(process, in call);
            case SystemCall.Execute:
            case SystemCall.ExecuteAt:
                process.ForgetAll();
                return null;
            case SystemCall.CloseRange:
                process.ForgetAll();
                _supervision.NoteClose();
                return null;
            case SystemCall.Open:
                return Open(process, call[0], CurrentFolder, call[1]);
            case SystemCall.Create:
                return Open(process, call[0], CurrentFolder, OpenCreate | OpenWriteOnly | OpenTruncate);
            case SystemCall.OpenAt:
                return Open(process, call[1], (int)call[0], call[2]);
            case SystemCall.OpenAt2:
                return process.Memory.Read(call[2], _how) == Errno.None
                    ? Open(process, call[1], (int)call[0], BitConverter.ToUInt64(_how))
                    : null;
            case SystemCall.Stat:
                return Status(process, call[0], CurrentFolder, follows: true, call[1]);
            case SystemCall.LStat:
                return Status(process, call[0], CurrentFolder, follows: false, call[1]);
            case SystemCall.StatAt:
                return StatusAt(process, in call);
            case SystemCall.StatX:
                return ExtendedStatus(process, in call);
            case SystemCall.Access:
                return Access(process, call[0], CurrentFolder, (int)call[1]);
            case SystemCall.AccessAt:
            case SystemCall.AccessAt2:
                return Access(process, call[1], (int)call[0], (int)call[2]);
            case SystemCall.ReadLink:
                return ReadLink(process, call[0], CurrentFolder, call[1], call[2]);
            case SystemCall.ReadLinkAt:
                return ReadLink(process, call[1], (int)call[0], call[2], call[3]);
            case SystemCall.ChangeDirectory:
                return ChangeDirectory(process, call[0]);
            default:
                return OnFile(process, in call);
        }
    }

    private void Answer(ulong id, IoResult result)
    {
        if (result.IsError)
        {
            _listener.Fail(id, result.Error);
        }
        else
        {
            _listener.Answer(id, result.Value);
        }
    }
}

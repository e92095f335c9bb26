using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Vfio.Tool.Qemu;

/// <summary>
/// The host's end of <c>eng/guest/agent</c>: sends shell text through the guest's second serial port and gives back what
/// it printed. Text is framed by control characters and a number, so the output may be anything else.
/// </summary>
internal sealed class GuestAgent : IDisposable
{
    private const char Begin = '\x02';
    private const char End = '\x03';

    private readonly Socket _socket;
    private readonly Lock _lock = new();
    private readonly StringBuilder _received = new();
    private TaskCompletionSource _changed = NewSignal();
    private bool _closed;
    private int _boots;
    private int _number;

    public GuestAgent(Socket socket)
    {
        _socket = socket;
        _ = Task.Run(ReceiveAsync);
    }

    /// <summary>How often the guest's agent has announced itself.</summary>
    public int Boots
    {
        get
        {
            lock (_lock)
            {
                return _boots;
            }
        }
    }

    /// <summary>What came and was not asked for: output of background jobs.</summary>
    public string Pending
    {
        get
        {
            lock (_lock)
            {
                return _received.ToString();
            }
        }
    }

    /// <summary>Waits until the agent has announced itself this many times.</summary>
    /// <returns>False when it did not in time, or the machine ended.</returns>
    public Task<bool> WaitForBootAsync(int count, TimeSpan timeout) => WaitAsync(() => _boots >= count, timeout);

    /// <summary>Runs shell text. One at a time.</summary>
    /// <returns>The result, or null when none came in time, the machine ended, or the guest started again.</returns>
    public async Task<GuestResult?> RunAsync(string script, TimeSpan timeout)
    {
        int number = Interlocked.Increment(ref _number);
        string line = $"{number} {Convert.ToBase64String(Encoding.UTF8.GetBytes(script))}\n";
        try
        {
            await _socket.SendAsync(Encoding.ASCII.GetBytes(line));
        }
        catch (SocketException)
        {
            return null;
        }

        int boots = Boots;
        GuestResult? result = null;
        await WaitAsync(() => _boots != boots || (result = TakeResult(number)) is not null, timeout);
        return result;
    }

    public void Dispose() => _socket.Dispose();

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private async Task<bool> WaitAsync(Func<bool> condition, TimeSpan timeout)
    {
        using var stop = new CancellationTokenSource(timeout);
        while (true)
        {
            Task changed;
            lock (_lock)
            {
                if (condition())
                {
                    return true;
                }

                if (_closed)
                {
                    return false;
                }

                changed = _changed.Task;
            }

            try
            {
                await changed.WaitAsync(stop.Token);
            }
            catch (OperationCanceledException)
            {
                return false;
            }
        }
    }

    private async Task ReceiveAsync()
    {
        byte[] buffer = new byte[16 * 1024];
        int count = 0;
        do
        {
            try
            {
                count = await _socket.ReceiveAsync(buffer);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                count = 0;
            }

            lock (_lock)
            {
                // Bytes as characters of the same number: cut anywhere, and decoded when an answer is whole.
                _received.Append(Encoding.Latin1.GetString(buffer, 0, count));
                CountBoots();
                _closed = count == 0;
                _changed.TrySetResult();
                _changed = NewSignal();
            }
        }
        while (count > 0);
    }

    // Caller holds _lock.
    private void CountBoots()
    {
        string text = _received.ToString();
        string mark = Begin + "ready ";
        for (int at = text.IndexOf(mark, StringComparison.Ordinal); at >= 0; at = text.IndexOf(mark, StringComparison.Ordinal))
        {
            int end = text.IndexOf('\n', at);
            if (end < 0)
            {
                break;
            }

            _boots++;
            text = text[(end + 1)..];
            _received.Clear().Append(text);
        }
    }

    // Caller holds _lock.
    private GuestResult? TakeResult(int number)
    {
        string text = _received.ToString();
        string begin = $"{Begin}{number}\n";
        string end = $"{End}{number} ";
        int from = text.IndexOf(begin, StringComparison.Ordinal);
        int to = from < 0 ? -1 : text.IndexOf(end, from, StringComparison.Ordinal);
        int line = to < 0 ? -1 : text.IndexOf('\n', to);
        if (line < 0)
        {
            return null;
        }

        int status = int.Parse(text.AsSpan(to + end.Length, line - to - end.Length), CultureInfo.InvariantCulture);
        string output = Encoding.UTF8.GetString(Encoding.Latin1.GetBytes(text[(from + begin.Length)..to]));
        _received.Clear().Append(text, 0, from).Append(text, line + 1, text.Length - line - 1);
        return new GuestResult(status, output.TrimEnd('\n'));
    }
}

using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Devices.Nvme.Tests.Harness;

/// <summary>An NBD server of which every byte is the test's to say. One connection at a time, each served by a script.</summary>
internal sealed class NbdScript : IDisposable
{
    public const ushort HasFlags = 1;
    public const ushort Cached = HasFlags | 4;
    private readonly TempFolder _folder = new();
    private readonly UnixSocket _listener;
    private readonly Thread _thread;
    private readonly Action<NbdScript, int> _serve;
    private UnixSocket? _connection;
    private volatile bool _isClosing;
    private volatile Exception? _failure;

    /// <param name="serve">Serves a connection, given its number from 0. It ends when the script returns, or when the client has ended it.</param>
    public NbdScript(Action<NbdScript, int> serve)
    {
        _serve = serve;
        UnixSocket.TryListen(_folder["nbd"], 16, out UnixSocket? listener).ThrowIfError("listen");
        _listener = listener!;
        _thread = new Thread(Run) { IsBackground = true };
        _thread.Start();
    }

    public string Uri => $"nbd+unix:///?socket={_folder["nbd"]}";

    /// <summary>Connections that were taken.</summary>
    public int Connections;

    /// <summary>Says the greeting and takes the option, with its length checked.</summary>
    /// <returns>The data of the option.</returns>
    public byte[] Greet(ushort flags = 3)
    {
        Say(Big64(0x4e42444d41474943), Big64(0x49484156454f5054), Big16(flags));
        byte[] head = Take(4 + 16);
        Assert.Equal(0x49484156454f5054UL, BinaryPrimitives.ReadUInt64BigEndian(head.AsSpan(4)));
        Assert.Equal(7U, BinaryPrimitives.ReadUInt32BigEndian(head.AsSpan(12)));
        return Take((int)BinaryPrimitives.ReadUInt32BigEndian(head.AsSpan(16)));
    }

    /// <summary>Negotiates as a server does.</summary>
    public void Negotiate(ulong length = 1 << 20, ushort flags = Cached, uint minimum = 1, uint maximum = 32 << 20)
    {
        Greet();
        SayOption(3, [.. Big16(0), .. Big64(length), .. Big16(flags)]);
        SayOption(3, [.. Big16(3), .. Big32(minimum), .. Big32(Math.Max(minimum, 4096)), .. Big32(maximum)]);
        SayOption(1, []);
    }

    public void SayOption(uint kind, byte[] data) => Say(Big64(0x3e889045565a9), Big32(7), Big32(kind), Big32((uint)data.Length), data);

    public NbdScriptRequest TakeRequest()
    {
        byte[] head = Take(28);
        Assert.Equal(0x25609513U, BinaryPrimitives.ReadUInt32BigEndian(head));
        ushort command = BinaryPrimitives.ReadUInt16BigEndian(head.AsSpan(6));
        uint length = BinaryPrimitives.ReadUInt32BigEndian(head.AsSpan(24));
        return new NbdScriptRequest(
            command,
            BinaryPrimitives.ReadUInt64BigEndian(head.AsSpan(8)),
            BinaryPrimitives.ReadUInt64BigEndian(head.AsSpan(16)),
            length,
            command == 1 ? Take((int)length) : []);
    }

    public void Reply(ulong cookie, uint error = 0, byte[]? data = null) => Say(Big32(0x67446698), Big32(error), Big64(cookie), data ?? []);

    /// <summary>Answers requests on memory until the client ends.</summary>
    public void ServeMemory(byte[] memory)
    {
        while (true)
        {
            NbdScriptRequest request = TakeRequest();
            if (request.Command == 2)
            {
                return;
            }

            Span<byte> range = memory.AsSpan((int)request.Offset, (int)request.Length);
            request.Data.CopyTo(range);
            if (request.Command == 6)
            {
                range.Clear();
            }

            Reply(request.Cookie, data: request.Command == 0 ? range.ToArray() : null);
        }
    }

    public void Say(params byte[][] parts)
    {
        ReadOnlySpan<byte> rest = parts.SelectMany(static part => part).ToArray();
        while (!rest.IsEmpty)
        {
            IoResult result = _connection!.Descriptor.Write(rest);
            if (result.IsError)
            {
                throw new EndOfStreamException();
            }

            rest = rest[result.Count..];
        }
    }

    public byte[] Take(int length)
    {
        byte[] bytes = new byte[length];
        Span<byte> rest = bytes;
        while (!rest.IsEmpty)
        {
            IoResult result = _connection!.Descriptor.Read(rest);
            if (result.IsError || result.Count == 0)
            {
                throw new EndOfStreamException();
            }

            rest = rest[result.Count..];
        }

        return bytes;
    }

    /// <summary>Waits until the client has ended the connection.</summary>
    public void AwaitEnd()
    {
        try
        {
            while (true)
            {
                Take(1);
            }
        }
        catch (EndOfStreamException)
        {
        }
    }

    public static byte[] Big16(ushort value) => [(byte)(value >> 8), (byte)value];

    public static byte[] Big32(uint value)
    {
        byte[] bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return bytes;
    }

    public static byte[] Big64(ulong value)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        return bytes;
    }

    public void Dispose()
    {
        _isClosing = true;
        _listener.Shutdown();
        Volatile.Read(ref _connection)?.Shutdown();
        Assert.True(_thread.Join(TimeSpan.FromSeconds(10)), "the script does not end");
        _listener.Dispose();
        _folder.Dispose();
        Assert.Null(_failure);
    }

    private void Run()
    {
        while (!_isClosing && _listener.TryAccept(out UnixSocket? connection) == Errno.None)
        {
            using (connection)
            {
                Volatile.Write(ref _connection, connection);
                try
                {
                    _serve(this, Interlocked.Increment(ref Connections) - 1);
                }
                catch (EndOfStreamException)
                {
                }
#pragma warning disable CA1031 // The script's assertions are the test's.
                catch (Exception exception)
#pragma warning restore CA1031
                {
                    _failure ??= exception;
                }

                Volatile.Write(ref _connection, null);
            }
        }
    }
}

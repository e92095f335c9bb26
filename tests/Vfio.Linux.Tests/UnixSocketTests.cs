using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.TestUtilities;

namespace Vfio.Linux.Tests;

public sealed partial class UnixSocketTests : IDisposable
{
    private readonly DescriptorLeakGuard _guard = new();
    private readonly UnixSocket _here;
    private readonly UnixSocket _there;

    public UnixSocketTests()
    {
        UnixSocket.CreatePair(out _here, out _there);
    }

    public void Dispose()
    {
        _here.Dispose();
        _there.Dispose();
        _guard.Dispose();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(253)]
    public void Send_descriptors_arrive_in_order(int count)
    {
        using MemFd memory = new("passed", 4096);
        FileDescriptor[] sent = [.. Enumerable.Range(0, count).Select(i => i % 2 == 0 ? memory.Descriptor : _here.Descriptor)];
        using DescriptorList received = new();
        byte[] buffer = new byte[16];

        Assert.Equal(5, _here.Send([1, 2, 3], [4, 5], sent).Count);
        Assert.Equal(5, _there.Receive(buffer, received, ReceiveFlags.None).Count);

        Assert.Equal([1, 2, 3, 4, 5], buffer[..5]);
        Assert.Equal(count, received.Count);
        Assert.False(received.Truncated);
        for (int i = 0; i < count; i++)
        {
            Assert.Equal(Errno.None, received[i]!.TryGetStatus(out FileStatus status));
            Assert.Equal(i % 2 == 0 ? FileKind.Regular : FileKind.Socket, status.Kind);
            Assert.True((Convert.ToInt32(FlagsOf(received[i]!), 8) & 0x80000) != 0, "Received descriptors are close-on-exec.");
        }
    }

    [Fact]
    public void Send_too_many_descriptors_is_EINVAL()
    {
        FileDescriptor[] descriptors = [.. Enumerable.Repeat(_here.Descriptor, 254)];

        Assert.Equal(Errno.EINVAL, _here.Send([1], [], descriptors).Error);
        Assert.Equal(Errno.EAGAIN, _there.Receive(new byte[1], null, ReceiveFlags.DontWait).Error);
    }

    [Fact]
    public void Send_descriptors_without_bytes_is_EINVAL() =>
        Assert.Equal(Errno.EINVAL, _here.Send([], [], [_here.Descriptor]).Error);

    [Fact]
    public void Send_disposed_descriptor_throws_and_keeps_the_others_balanced()
    {
        MemFd memory = new("kept", 0);
        FileDescriptor closed = memory.Descriptor.Duplicate();
        closed.Dispose();

        Assert.Throws<ObjectDisposedException>(() => _here.Send([1], [], [memory.Descriptor, closed]));

        memory.Dispose();
        Assert.True(memory.Descriptor.IsClosed);
    }

    [Fact]
    public void Take_hands_over_and_Clear_closes_the_rest()
    {
        using DescriptorList received = new();
        Assert.Equal(1, _here.Send([1], [], [_here.Descriptor, _here.Descriptor, _here.Descriptor]).Count);
        Assert.Equal(1, _there.Receive(new byte[1], received, ReceiveFlags.None).Count);
        FileDescriptor first = received[0]!;

        using FileDescriptor? taken = received.Take(1);
        Assert.Null(received.Take(1));
        Assert.Null(received[1]);
        received.Clear();

        Assert.Equal(0, received.Count);
        Assert.True(first.IsClosed);
        Assert.Equal(Errno.None, taken!.TryGetStatus(out _));
        Assert.Throws<ArgumentOutOfRangeException>(() => received[0]);
    }

    [Fact]
    public void Receive_full_list_closes_what_the_message_brought()
    {
        using DescriptorList received = new();
        FileDescriptor[] many = [.. Enumerable.Repeat(_here.Descriptor, 200)];
        Assert.Equal(1, _here.Send([1], [], many).Count);
        Assert.Equal(1, _here.Send([2], [], many).Count);
        Assert.Equal(1, _there.Receive(new byte[1], received, ReceiveFlags.None).Count);
        Assert.Equal(200, received.Count);

        Assert.Equal(1, _there.Receive(new byte[1], received, ReceiveFlags.None).Count);

        Assert.True(received.Truncated);
        Assert.Equal(200, received.Count);
        Assert.All(Enumerable.Range(0, 200), i => Assert.False(received[i]!.IsClosed));
        received.Clear();
        Assert.False(received.Truncated);
    }

    [Fact]
    public void Receive_without_free_descriptor_numbers_is_truncated()
    {
        using DescriptorList received = new();
        Assert.Equal(1, _here.Send([1], [], [_here.Descriptor, _here.Descriptor, _here.Descriptor]).Count);

        // Room for exactly one more descriptor.
        IoResult result;
        using (DescriptorLimit.LeaveRoomFor(1))
        {
            result = _there.Receive(new byte[1], received, ReceiveFlags.None);
        }

        Assert.Equal(1, result.Count);
        Assert.True(received.Truncated);
        Assert.Equal(0, received.Count);
    }

    [Fact]
    public void Receive_without_list_opens_nothing()
    {
        Assert.Equal(1, _here.Send([1], [], [_here.Descriptor]).Count);
        int before = Directory.GetFiles("/proc/self/fd").Length;

        Assert.Equal(1, _there.Receive(new byte[8], null, ReceiveFlags.None).Count);

        Assert.Equal(before, Directory.GetFiles("/proc/self/fd").Length);
    }

    [Fact]
    public void Receive_peek_leaves_bytes_and_descriptors()
    {
        using DescriptorList received = new();
        byte[] buffer = new byte[4];
        Assert.Equal(3, _here.Send([1, 2, 3], [], [_here.Descriptor]).Count);

        Assert.Equal(3, _there.Receive(buffer, received, ReceiveFlags.Peek).Count);
        Assert.Equal(0, received.Count);
        Assert.False(received.Truncated);
        Assert.Equal(3, _there.Receive(buffer, received, ReceiveFlags.None).Count);
        Assert.Equal(1, received.Count);
    }

    [Fact]
    public void Receive_stops_behind_descriptors()
    {
        using DescriptorList received = new();
        byte[] buffer = new byte[16];
        _here.Send([1]);
        _here.Send([2], [], [_here.Descriptor]);
        _here.Send([3]);

        Assert.Equal(2, _there.Receive(buffer, received, ReceiveFlags.None).Count);
        Assert.Equal(1, received.Count);
        Assert.Equal(1, _there.Receive(buffer, received, ReceiveFlags.None).Count);
        Assert.Equal(3, buffer[0]);
    }

    [Fact]
    public void Receive_end_of_stream_is_zero()
    {
        _here.Send([9]);
        _here.Dispose();
        byte[] buffer = new byte[4];

        Assert.Equal(1, _there.Receive(buffer, null, ReceiveFlags.None).Count);
        Assert.Equal(IoResult.Success(0), _there.Receive(buffer, null, ReceiveFlags.None));
        Assert.Equal(Errno.EPIPE, _there.Send([1]).Error);
    }

    [Fact]
    public void Receive_DontWait_without_data_is_EAGAIN() =>
        Assert.Equal(Errno.EAGAIN, _there.Receive(new byte[1], null, ReceiveFlags.DontWait).Error);

    [Fact]
    public void Receive_times_out_with_EAGAIN()
    {
        _there.SetReceiveTimeout(TimeSpan.FromMilliseconds(20));

        Assert.Equal(Errno.EAGAIN, _there.Receive(new byte[1], null, ReceiveFlags.None).Error);
    }

    [Fact]
    public void Receive_WaitAll_gathers_pieces()
    {
        byte[] buffer = new byte[6];
        Thread sender = new(() =>
        {
            for (byte i = 0; i < 6; i++)
            {
                _here.Send([i]);
                Thread.Sleep(1);
            }
        });
        sender.Start();

        Assert.Equal(6, _there.Receive(buffer, null, ReceiveFlags.WaitAll).Count);
        Assert.Equal([0, 1, 2, 3, 4, 5], buffer);
        sender.Join();
    }

    [Theory]
    [InlineData(1 << 20, 0)]
    [InlineData(100, 3 << 20)]
    [InlineData(300_001, 700_003)]
    public void Send_more_than_the_socket_holds_is_continued(int headerLength, int payloadLength)
    {
        byte[] header = new byte[headerLength];
        byte[] payload = new byte[payloadLength];
        new Random(1).NextBytes(header);
        new Random(2).NextBytes(payload);
        using DescriptorList received = new();
        IoResult sent = default;
        Thread sender = new(() => sent = _here.Send(header, payload, [_here.Descriptor]));
        sender.Start();

        byte[] all = new byte[headerLength + payloadLength];
        int done = 0;
        int pieces = 0;
        while (done < all.Length)
        {
            IoResult result = _there.Receive(all.AsSpan(done), received, ReceiveFlags.None);
            Assert.True(result.Count > 0, result.ToString());
            done += result.Count;
            pieces++;
        }

        Assert.True(sender.Join(10_000));
        Assert.Equal(all.Length, sent.Value);
        Assert.True(pieces > 1);
        Assert.True(all.AsSpan(0, headerLength).SequenceEqual(header));
        Assert.True(all.AsSpan(headerLength).SequenceEqual(payload));
        Assert.Equal(1, received.Count);
    }

    [Theory]
    [InlineData(300_001, 50_000)]
    [InlineData(16, 400_000)]
    public void Send_that_was_cut_short_is_continued_without_sending_descriptors_again(int headerLength, int payloadLength)
    {
        byte[] header = new byte[headerLength];
        byte[] payload = new byte[payloadLength];
        new Random(1).NextBytes(header);
        new Random(2).NextBytes(payload);
        using DescriptorList received = new();
        IoResult sent = default;

        // A blocking sendmsg takes everything; one that times out with a part of the bytes gone returns that part.
        _here.SetSendTimeout(TimeSpan.FromMilliseconds(400));
        Thread sender = new(() => sent = _here.Send(header, payload, [_here.Descriptor]));
        sender.Start();
        Thread.Sleep(500);

        byte[] all = new byte[headerLength + payloadLength];
        int done = 0;
        while (done < all.Length)
        {
            IoResult result = _there.Receive(all.AsSpan(done), received, ReceiveFlags.None);
            Assert.True(result.Count > 0, result.ToString());
            done += result.Count;
        }

        Assert.True(sender.Join(10_000));
        Assert.Equal(all.Length, sent.Value);
        Assert.True(all.AsSpan(0, headerLength).SequenceEqual(header));
        Assert.True(all.AsSpan(headerLength).SequenceEqual(payload));
        Assert.Equal(1, received.Count);
    }

    [Fact]
    public void Send_to_a_peer_that_does_not_read_times_out()
    {
        _here.SetSendTimeout(TimeSpan.FromMilliseconds(30));

        Assert.Equal(Errno.EAGAIN, _here.Send(new byte[4 << 20]).Error);
    }

    [Fact]
    public void Shutdown_wakes_a_receiver()
    {
        IoResult result = Errno.EIO;
        Thread receiver = new(() => result = _there.Receive(new byte[1], null, ReceiveFlags.None));
        receiver.Start();
        Thread.Sleep(20);

        _there.Shutdown();

        Assert.True(receiver.Join(5000));
        Assert.Equal(IoResult.Success(0), result);
        _there.Shutdown();
    }

    [Fact]
    public void Listen_accept_connect_and_credentials()
    {
        string path = Path.Combine(Path.GetTempPath(), $"vfio-{Guid.NewGuid():N}.sock");
        try
        {
            Assert.Equal(Errno.ENOENT, UnixSocket.TryConnect(path, out _));
            Assert.Equal(Errno.None, UnixSocket.TryListen(path, 4, out UnixSocket? listener));
            using (listener)
            {
                Assert.Equal(Errno.EADDRINUSE, UnixSocket.TryListen(path, 4, out _));
                Assert.Equal(Errno.None, UnixSocket.TryConnect(path, out UnixSocket? client));
                using (client)
                {
                    Assert.Equal(Errno.None, listener!.TryAccept(out UnixSocket? server));
                    using (server)
                    {
                        Assert.Equal(Errno.None, server!.TryGetPeerCredentials(out PeerCredentials credentials));
                        Assert.Equal(Environment.ProcessId, credentials.ProcessId);
                        Assert.Equal(2, client!.Send([1, 2]).Count);
                        Assert.Equal(2, server.Receive(new byte[2], null, ReceiveFlags.None).Count);
                    }
                }
            }

            Assert.Equal(Errno.ECONNREFUSED, UnixSocket.TryConnect(path, out _));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void TryGetListening_knows_UNIX_streams_that_listen_or_are_connected()
    {
        Assert.Equal(Errno.None, _there.TryGetListening(out bool listening));
        Assert.False(listening);
        Assert.Equal(Errno.None, UnixSocket.TryListen($"\0vfio-{Guid.NewGuid():N}", 1, out UnixSocket? listener));
        using (listener)
        {
            Assert.Equal(Errno.None, listener!.TryGetListening(out listening));
            Assert.True(listening);
        }

        using MemFd memory = new("no socket", 1);
        Assert.Equal(Errno.ENOTSOCK, new UnixSocket(memory.Descriptor).TryGetListening(out _));
        const int Internet = 2;
        const int Unix = 1;
        const int Stream = 1;
        const int Datagram = 2;
        foreach ((int family, int type, Errno expected) in new[]
        {
            (Internet, Stream, Errno.EPROTOTYPE), (Unix, Datagram, Errno.EPROTOTYPE), (Unix, Stream, Errno.ENOTCONN),
        })
        {
            using UnixSocket socket = new(new FileDescriptor(SocketCall(family, type, 0), ownsHandle: true));
            Assert.Equal(expected, socket.TryGetListening(out _));
        }
    }

    [Fact]
    public void TryListen_file_appears_when_connections_are_accepted()
    {
        string directory = Directory.CreateTempSubdirectory("vfio-").FullName;
        try
        {
            for (int round = 0; round < 100; round++)
            {
                string path = $"{directory}/{round}";
                Errno error = Errno.ENOENT;
                Thread client = new(() =>
                {
                    do
                    {
                        error = UnixSocket.TryConnect(path, out UnixSocket? socket);
                        socket?.Dispose();
                    }
                    while (error == Errno.ENOENT);
                });
                client.Start();
                Assert.Equal(Errno.None, UnixSocket.TryListen(path, 4, out UnixSocket? listener));
                Assert.True(client.Join(5000));
                Assert.Equal(Errno.None, error);
                listener!.Dispose();
            }

            Assert.Equal(100, Directory.GetFiles(directory).Length);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [Fact]
    public void TryConnect_full_backlog_answers_EAGAIN_after_the_time_out()
    {
        string name = $"\0vfio-{Guid.NewGuid():N}";
        Assert.Equal(Errno.None, UnixSocket.TryListen(name, 0, out UnixSocket? listener));
        using (listener)
        {
            Assert.Equal(Errno.None, UnixSocket.TryConnect(name, out UnixSocket? first));
            using (first)
            {
                Assert.Equal(Errno.EAGAIN, UnixSocket.TryConnect(name, out UnixSocket? second, TimeSpan.FromMilliseconds(5)));
                Assert.Null(second);
            }
        }
    }

    [Fact]
    public void Shutdown_wakes_an_accept()
    {
        string name = $"\0vfio-{Guid.NewGuid():N}";
        Assert.Equal(Errno.None, UnixSocket.TryListen(name, 1, out UnixSocket? listener));
        using (listener)
        {
            Errno error = Errno.None;
            Thread acceptor = new(() => error = listener!.TryAccept(out _));
            acceptor.Start();
            Thread.Sleep(20);

            listener!.Shutdown();

            Assert.True(acceptor.Join(5000));
            Assert.Equal(Errno.EINVAL, error);
        }
    }

    [Fact]
    public void TryListen_path_length_limit_is_107_bytes()
    {
        string directory = Directory.CreateTempSubdirectory("vfio-").FullName;
        try
        {
            string longest = Path.Combine(directory, new string('x', 107 - directory.Length - 1));
            Assert.Equal(Errno.None, UnixSocket.TryListen(longest, 1, out UnixSocket? socket));
            socket!.Dispose();
            Assert.True(File.Exists(longest));
            Assert.Equal(Errno.ENAMETOOLONG, UnixSocket.TryListen(longest + "x", 1, out _));
            Assert.Equal(Errno.ENAMETOOLONG, UnixSocket.TryConnect(directory + "/" + new string('ü', 60), out _));
            Assert.Equal(Errno.EINVAL, UnixSocket.TryListen("", 1, out _));
            Assert.Equal(Errno.EINVAL, UnixSocket.TryListen(directory + "/a\0b", 1, out _));
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [Fact]
    public void TryGetPeerCredentials_of_something_else_is_ENOTSOCK()
    {
        using UnixSocket notASocket = new(new MemFd("not", 0).Descriptor);

        Assert.Equal(Errno.ENOTSOCK, notASocket.TryGetPeerCredentials(out _));
        Assert.Throws<LinuxException>(() => notASocket.SetReceiveTimeout(TimeSpan.FromSeconds(1)));
    }

    [Fact]
    public void Send_and_Receive_allocate_nothing()
    {
        byte[] buffer = new byte[64];
        using DescriptorList descriptors = new();

        long bytes = AllocationMeter.Measure(() =>
        {
            _here.Send(buffer.AsSpan(0, 16), buffer.AsSpan(16, 32), default);
            _there.Receive(buffer, descriptors, ReceiveFlags.None);
            _there.Receive(buffer, descriptors, ReceiveFlags.DontWait);
            descriptors.Clear();
        });

        Assert.Equal(0, bytes);
    }

    [Fact]
    public void Send_with_descriptors_allocates_nothing()
    {
        byte[] buffer = new byte[16];
        FileDescriptor[] sent = [_here.Descriptor];

        long bytes = AllocationMeter.Measure(() =>
        {
            _here.Send(buffer, default, sent);
            _there.Receive(buffer, null, ReceiveFlags.None);
        });

        Assert.Equal(0, bytes);
    }

    private static string FlagsOf(FileDescriptor descriptor) =>
        File.ReadLines($"/proc/self/fdinfo/{descriptor.Number}").Single(line => line.StartsWith("flags:", StringComparison.Ordinal))[6..].Trim();

    [LibraryImport("libc", EntryPoint = "socket")]
    private static partial int SocketCall(int family, int type, int protocol);
}

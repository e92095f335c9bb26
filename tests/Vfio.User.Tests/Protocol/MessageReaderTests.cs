using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;
using Vfio.TestUtilities;

namespace Vfio.User.Tests.Protocol;

/// <summary>What <see cref="MessageReader.Look"/> leaves in the socket, and that nothing else sees it there.</summary>
public sealed class MessageReaderTests : IDisposable
{
    private readonly DescriptorLeakGuard _guard = new();
    private readonly UnixSocket _client;
    private readonly UnixSocket _server;
    private readonly MessageReader _reader;

    public MessageReaderTests()
    {
        UnixSocket.CreatePair(out _client, out _server);
        _reader = new MessageReader(_server, 1 << 20);
    }

    public void Dispose()
    {
        _reader.Dispose();
        _client.Dispose();
        _server.Dispose();
        _guard.Dispose();
    }

    [Fact]
    public void Access_alone_behind_one_alone_can_be_answered_while_it_is_still_in_the_socket()
    {
        Send(Message(1, VfioUserCommand.RegionRead, 16));
        Assert.Equal(32, _reader.Look(leave: true).Count);
        Assert.Equal(1, Take());
        Assert.Equal(0, InSocket());

        Send(Message(2, VfioUserCommand.RegionRead, 16));
        Assert.Equal(32, _reader.Look(leave: true).Count);
        Assert.Equal(2, Take());
        Assert.Equal(32, InSocket());
        _reader.Settle();
        Assert.Equal(0, InSocket());
        Assert.Equal(Errno.EAGAIN, _reader.Look(leave: true).Error);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Next_receive_goes_on_behind_what_was_left(bool look)
    {
        TakeOneAlone();
        Send(Message(2, VfioUserCommand.RegionWrite, 20));
        Assert.Equal(36, _reader.Look(leave: true).Count);
        Send(Message(3, VfioUserCommand.DeviceReset, 0));
        Assert.Equal(2, Take());
        Assert.Equal(16, (look ? _reader.Look(leave: true) : _reader.Fill(ReceiveFlags.None)).Count);
        Assert.Equal(3, Take());
        Assert.Equal(0, InSocket());
    }

    [Fact]
    public void Payload_stays_as_it_is_when_the_buffer_is_left_and_the_socket_settled()
    {
        TakeOneAlone();
        Send(Message(2, VfioUserCommand.RegionWrite, 20));
        _ = _reader.Look(leave: true);
        Assert.Equal(FrameStatus.Message, _reader.TryTake(out _, out Span<byte> payload));
        byte[] before = payload.ToArray();
        _reader.LeaveBuffer();
        Send(Message(3, VfioUserCommand.RegionRead, 16));
        Assert.Equal(32, _reader.Fill(ReceiveFlags.None).Count);
        Assert.Equal(before, payload.ToArray());
        Assert.Equal(3, Take());
    }

    [Fact]
    public void Descriptors_of_the_next_message_are_not_lost()
    {
        using MemFd memory = new("next", 4096);
        TakeOneAlone();
        Send(Message(2, VfioUserCommand.RegionRead, 16));
        _ = _reader.Look(leave: true);
        Send(Message(3, VfioUserCommand.DmaMap, 32), memory.Descriptor);
        Assert.Equal(2, Take());
        Assert.Equal(0, _reader.Descriptors.Count);
        _reader.Settle();
        Assert.Equal(48, _reader.Look(leave: true).Count);
        Assert.Equal(3, Take());
        Assert.Equal(1, _reader.Descriptors.Count);
    }

    [Fact]
    public void Descriptors_that_come_with_an_access_are_closed()
    {
        using MemFd memory = new("stray", 4096);
        TakeOneAlone();
        Send(Message(2, VfioUserCommand.RegionRead, 16), memory.Descriptor);
        Assert.Equal(32, _reader.Look(leave: true).Count);
        Assert.Equal(2, Take());
        Assert.Equal(0, _reader.Descriptors.Count);
        Send(Message(3, VfioUserCommand.DeviceReset, 0));
        Assert.Equal(16, _reader.Fill(ReceiveFlags.None).Count);
        Assert.Equal(3, Take());
        Assert.Equal(0, _reader.Descriptors.Count);
    }

    [Fact]
    public void Messages_that_are_not_one_access_are_taken_at_once()
    {
        byte[][] cases =
        [
            Message(2, VfioUserCommand.DmaMap, 32),
            [.. Message(2, VfioUserCommand.RegionRead, 16), .. Message(3, VfioUserCommand.RegionRead, 16)],
            Message(2, VfioUserCommand.RegionRead, 16)[..31],
            Message(2, VfioUserCommand.RegionWrite, 2048),
            [1, 2, 3],
        ];
        foreach (byte[] bytes in cases)
        {
            UnixSocket.CreatePair(out UnixSocket client, out UnixSocket server);
            using MessageReader reader = new(server, 1 << 20);
            using (client)
            using (server)
            {
                Assert.False(client.Send(Message(1, VfioUserCommand.RegionRead, 16)).IsError);
                _ = reader.Look(leave: true);
                Assert.Equal(FrameStatus.Message, reader.TryTake(out _, out _));
                Assert.False(client.Send(bytes).IsError);
                Assert.Equal(bytes.Length, reader.Look(leave: true).Count);
                Assert.Equal(Errno.EAGAIN, server.Receive(new byte[1], null, ReceiveFlags.DontWait).Error);
            }
        }
    }

    [Fact]
    public void Look_that_leaves_nothing_takes_what_it_finds()
    {
        TakeOneAlone();
        Send(Message(2, VfioUserCommand.RegionRead, 16));
        Assert.Equal(32, _reader.Look(leave: false).Count);
        Assert.Equal(0, InSocket());
        Assert.Equal(2, Take());
    }

    [Fact]
    public void End_of_the_stream_is_told_behind_what_was_left()
    {
        TakeOneAlone();
        Send(Message(2, VfioUserCommand.RegionRead, 16));
        _ = _reader.Look(leave: true);
        _client.Shutdown();
        Assert.Equal(2, Take());
        Assert.Equal(IoResult.Success(), _reader.Look(leave: true));
    }

    private static byte[] Message(ushort id, VfioUserCommand command, int payload)
    {
        byte[] bytes = new byte[VfioUserWire.HeaderSize + payload];
        bytes.AsSpan().Fill((byte)id);
        MemoryMarshal.Write(bytes, new VfioUserHeader { msg_id = id, cmd = (ushort)command, msg_size = (uint)bytes.Length });
        return bytes;
    }

    private void TakeOneAlone()
    {
        Send(Message(1, VfioUserCommand.RegionRead, 16));
        _ = _reader.Look(leave: true);
        Assert.Equal(1, Take());
    }

    private void Send(byte[] bytes, params FileDescriptor[] descriptors) => Assert.Equal(bytes.Length, _client.Send(bytes, [], descriptors).Count);

    private int Take()
    {
        Assert.Equal(FrameStatus.Message, _reader.TryTake(out VfioUserHeader header, out _));
        return header.msg_id;
    }

    private int InSocket()
    {
        IoResult result = _server.Receive(new byte[4096], null, ReceiveFlags.Peek | ReceiveFlags.DontWait);
        return result.IsError ? 0 : result.Count;
    }
}

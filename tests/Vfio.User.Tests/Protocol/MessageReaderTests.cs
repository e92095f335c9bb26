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

    [Theory]
    [InlineData(VfioUserCommand.RegionRead, 16)]
    [InlineData(VfioUserCommand.RegionWrite, 20)]
    [InlineData(VfioUserCommand.DmaUnmap, 24)]
    public void Message_without_descriptors_can_be_answered_while_it_is_still_in_the_socket(VfioUserCommand command, int payload)
    {
        ExpectReads();
        Send(Message(2, command, payload));
        Assert.Equal(16 + payload, _reader.Look(TakeTime.AfterAnswer).Count);
        Assert.Equal(2, Take());
        Assert.Equal(16 + payload, InSocket());
        _reader.Settle();
        Assert.Equal(0, InSocket());
        Assert.Equal(Errno.EAGAIN, _reader.Look(TakeTime.AfterAnswer).Error);
    }

    [Fact]
    public void Messages_that_arrived_together_are_left_together()
    {
        ExpectReads();
        Send([.. Message(2, VfioUserCommand.RegionRead, 16), .. Message(3, VfioUserCommand.RegionWrite, 20), .. Message(4, VfioUserCommand.RegionRead, 16)]);
        Assert.Equal(100, _reader.Look(TakeTime.BeforeAnswer).Count);
        Assert.Equal([2, 3, 4], [Take(), Take(), Take()]);
        Assert.Equal(100, InSocket());
        _reader.Settle();
        Assert.Equal(0, InSocket());
    }

    [Fact]
    public void Messages_that_take_turns_are_left_or_taken_as_the_last_of_their_kind_were()
    {
        ExpectReads();
        for (ushort id = 2; id < 20; id += 2)
        {
            Send(Message(id, VfioUserCommand.DmaMap, 32));
            Assert.Equal(48, _reader.Look(TakeTime.AfterAnswer).Count);
            Assert.Equal(id, Take());
            Assert.Equal(0, InSocket());
            Send(Message((ushort)(id + 1), VfioUserCommand.DmaUnmap, 24));
            Assert.Equal(40, _reader.Look(TakeTime.AfterAnswer).Count);
            Assert.Equal(id + 1, Take());

            // An unmap behind a map for the first time is taken at once.
            Assert.Equal(id == 2 ? 0 : 40, InSocket());
            _reader.Settle();
        }
    }

    [Fact]
    public void Last_byte_of_a_message_with_descriptors_is_left()
    {
        using MemFd memory = new("left", 4096);
        ExpectReads();
        for (ushort id = 2; id < 5; id++)
        {
            Send(Message(id, VfioUserCommand.DmaMap, 32), memory.Descriptor);
            Assert.Equal(48, _reader.Look(TakeTime.LastByteAfterAnswer).Count);
            Assert.Equal(FrameStatus.Message, _reader.TryTake(out VfioUserHeader header, out Span<byte> payload));
            Assert.Equal(id, header.msg_id);
            Assert.Equal(1, _reader.Descriptors.Count);
            Assert.All(payload.ToArray(), value => Assert.Equal((byte)id, value));

            // A map behind a map for the first time is taken at once.
            Assert.Equal(id == 3 ? 0 : 1, InSocket());
            _reader.Settle();
            Assert.Equal(0, InSocket());
        }
    }

    [Fact]
    public void Messages_of_which_only_the_second_has_descriptors_lose_none()
    {
        using MemFd memory = new("second", 4096);
        ExpectReads();
        for (int i = 0; i < 2; i++)
        {
            Send(Message(2, VfioUserCommand.DmaMap, 32));
            Assert.Equal(48, _reader.Look(TakeTime.LastByteAfterAnswer).Count);
            Assert.Equal(2, Take());
        }

        Send(Message(3, VfioUserCommand.DmaMap, 32));
        Send(Message(4, VfioUserCommand.DmaMap, 32), memory.Descriptor);
        int arrived = 0;
        while (arrived < 96)
        {
            IoResult received = _reader.Look(TakeTime.LastByteAfterAnswer);
            Assert.False(received.IsError);
            arrived += received.Count;
        }

        Assert.Equal(3, Take());
        Assert.Equal(0, _reader.Descriptors.Count);
        Assert.Equal(4, Take());
        Assert.Equal(1, _reader.Descriptors.Count);
        _reader.Settle();
        Assert.Equal(0, InSocket());
    }

    [Fact]
    public void Posted_messages_are_left_as_others_and_replies_are_taken_at_once()
    {
        ExpectReads();
        byte[] posted = Message(2, VfioUserCommand.RegionWrite, 20);
        MemoryMarshal.Write(posted.AsSpan(8), (uint)VfioUserFlags.NoReply);
        Send(posted);
        Assert.Equal(36, _reader.Look(TakeTime.AfterAnswer).Count);
        Assert.Equal(36, InSocket());
        Assert.Equal(2, Take());
        _reader.Settle();
        Assert.Equal(0, InSocket());

        byte[] reply = Message(3, VfioUserCommand.DmaWrite, 16);
        MemoryMarshal.Write(reply.AsSpan(8), (uint)VfioUserFlags.Reply);
        Send(reply);
        Assert.Equal(32, _reader.Look(TakeTime.AfterAnswer).Count);
        Assert.Equal(0, InSocket());
        Assert.Equal(3, Take());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Next_receive_goes_on_behind_what_was_left(bool look)
    {
        ExpectReads();
        Send(Message(2, VfioUserCommand.RegionWrite, 20));
        Assert.Equal(36, _reader.Look(TakeTime.AfterAnswer).Count);
        Send(Message(3, VfioUserCommand.DeviceReset, 0));
        Assert.Equal(2, Take());
        Assert.Equal(16, (look ? _reader.Look(TakeTime.AfterAnswer) : _reader.Fill(ReceiveFlags.None)).Count);
        Assert.Equal(3, Take());
        Assert.Equal(0, InSocket());
    }

    [Fact]
    public void Payload_stays_as_it_is_when_the_buffer_is_left_and_the_socket_settled()
    {
        ExpectReads();
        Send(Message(2, VfioUserCommand.RegionWrite, 20));
        _ = _reader.Look(TakeTime.AfterAnswer);
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
        ExpectReads();
        Send(Message(2, VfioUserCommand.RegionRead, 16));
        _ = _reader.Look(TakeTime.AfterAnswer);
        Send(Message(3, VfioUserCommand.DmaMap, 32), memory.Descriptor);
        Assert.Equal(2, Take());
        Assert.Equal(0, _reader.Descriptors.Count);
        _reader.Settle();
        Assert.Equal(48, _reader.Look(TakeTime.AfterAnswer).Count);
        Assert.Equal(3, Take());
        Assert.Equal(1, _reader.Descriptors.Count);
    }

    [Fact]
    public void Descriptors_that_come_with_an_access_are_closed()
    {
        using MemFd memory = new("stray", 4096);
        ExpectReads();
        Send(Message(2, VfioUserCommand.RegionRead, 16), memory.Descriptor);
        Assert.Equal(32, _reader.Look(TakeTime.AfterAnswer).Count);
        Assert.Equal(2, Take());
        Assert.Equal(0, _reader.Descriptors.Count);
        Send(Message(3, VfioUserCommand.DeviceReset, 0));
        Assert.Equal(16, _reader.Fill(ReceiveFlags.None).Count);
        Assert.Equal(3, Take());
        Assert.Equal(0, _reader.Descriptors.Count);
    }

    [Fact]
    public void Messages_that_may_have_descriptors_or_are_not_whole_or_large_are_taken_at_once()
    {
        byte[][] cases =
        [
            Message(2, VfioUserCommand.DmaMap, 32),
            [.. Message(2, VfioUserCommand.RegionRead, 16), .. Message(3, VfioUserCommand.DmaMap, 32)],
            [.. Message(2, VfioUserCommand.RegionRead, 16), .. Message(3, VfioUserCommand.RegionRead, 16)[..20]],
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
                ExpectReads(client, reader);
                Assert.False(client.Send(bytes).IsError);
                Assert.Equal(bytes.Length, reader.Look(TakeTime.AfterAnswer).Count);
                Assert.Equal(Errno.EAGAIN, server.Receive(new byte[1], null, ReceiveFlags.DontWait).Error);
            }
        }
    }

    [Fact]
    public void Look_that_takes_at_once_leaves_nothing()
    {
        ExpectReads();
        Send(Message(2, VfioUserCommand.RegionRead, 16));
        Assert.Equal(32, _reader.Look(TakeTime.AtOnce).Count);
        Assert.Equal(0, InSocket());
        Assert.Equal(2, Take());
    }

    [Fact]
    public void End_of_the_stream_is_told_behind_what_was_left()
    {
        ExpectReads();
        Send(Message(2, VfioUserCommand.RegionRead, 16));
        _ = _reader.Look(TakeTime.AfterAnswer);
        _client.Shutdown();
        Assert.Equal(2, Take());
        Assert.Equal(IoResult.Success(), _reader.Look(TakeTime.AfterAnswer));
    }

    private static byte[] Message(ushort id, VfioUserCommand command, int payload)
    {
        byte[] bytes = new byte[VfioUserWire.HeaderSize + payload];
        bytes.AsSpan().Fill((byte)id);
        MemoryMarshal.Write(bytes, new VfioUserHeader { msg_id = id, cmd = (ushort)command, msg_size = (uint)bytes.Length });
        return bytes;
    }

    /// <summary>What comes behind a kind for the first time is taken at once. Behind a read another has come now.</summary>
    private void ExpectReads() => ExpectReads(_client, _reader);

    private static void ExpectReads(UnixSocket client, MessageReader reader)
    {
        for (int i = 0; i < 2; i++)
        {
            Assert.False(client.Send(Message(1, VfioUserCommand.RegionRead, 16)).IsError);
            Assert.Equal(32, reader.Look(TakeTime.AfterAnswer).Count);
            Assert.Equal(FrameStatus.Message, reader.TryTake(out _, out _));
        }
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

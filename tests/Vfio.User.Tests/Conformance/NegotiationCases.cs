using System.Diagnostics;
using System.Text.Json;
using Vfio.Abi;
using Vfio.Linux;
using Vfio.Testing;
using Vfio.TestUtilities;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Conformance;

/// <summary>Cases 1 to 14: VERSION.</summary>
public sealed class NegotiationCases : ConformanceTest
{
    private static JsonElement Capabilities(VfioUserMessage reply)
    {
        Assert.Equal(0, reply.Payload[^1]);
        return JsonDocument.Parse(reply.Payload.AsMemory(4, reply.Payload.Length - 5)).RootElement.GetProperty("capabilities");
    }

    [Fact]
    public void Case001_version_qemu_json()
    {
        using RawVfioUserClient client = RawVfioUserClient.Connect(Serve().SocketPath);
        byte[] request = RawVfioUserClient.VersionPayload(0, 0, RawVfioUserClient.QemuCapabilities);

        using VfioUserMessage reply = client.Request(VfioUserCommand.Version, request);

        Assert.Equal(Errno.None, reply.Error);
        vfio_user_version version = reply.Read<vfio_user_version>();
        Assert.Equal((0, 0), (version.major, version.minor));
        Assert.True(reply.Payload.Length <= request.Length, $"{reply.Payload.Length} bytes in reply to {request.Length}");
        JsonElement capabilities = Capabilities(reply);
        Assert.InRange(capabilities.GetProperty("max_msg_fds").GetInt32(), 1, 16);
        Assert.InRange(capabilities.GetProperty("max_data_xfer_size").GetInt32(), 1, 64 << 20);
        Assert.False(capabilities.TryGetProperty("write_multiple", out _));
        AssertAlive(client);
    }

    [Fact]
    public void Case002_version_0_9_is_answered_0_2()
    {
        using RawVfioUserClient client = RawVfioUserClient.Connect(Serve().SocketPath);
        using VfioUserMessage reply = client.Negotiate("{}", minor: 9);
        Assert.Equal(2, reply.Read<vfio_user_version>().minor);
        AssertAlive(client);
    }

    [Fact]
    public void Case003_version_without_json()
    {
        using RawVfioUserClient client = RawVfioUserClient.Connect(Serve().SocketPath);
        using VfioUserMessage reply = client.Negotiate(null, minor: 1);
        Assert.Equal(Errno.None, reply.Error);
        Assert.Equal(1, reply.Read<vfio_user_version>().minor);
        Assert.Equal(JsonValueKind.Object, Capabilities(reply).ValueKind);
        Assert.True(reply.Payload.Length <= 4096);
        AssertAlive(client);
    }

    [Fact]
    public void Case004_version_with_empty_json()
    {
        using RawVfioUserClient client = RawVfioUserClient.Connect(Serve().SocketPath);
        using VfioUserMessage reply = client.Negotiate("{}");
        Assert.Equal(Errno.None, reply.Error);
        Assert.Equal(JsonValueKind.Object, Capabilities(reply).ValueKind);
        AssertAlive(client);
    }

    [Theory]
    [InlineData("""{"vendor":{"a":[1,{"b":null}],"c":"x"},"capabilities":{"max_msg_fds":4,"new":{"deep":{"er":[[[]]]}},"also":1.5}}""")]
    [InlineData("""{"capabilities":{},"other":[true,false,null]}""")]
    public void Case005_unknown_keys_are_ignored(string json)
    {
        using RawVfioUserClient client = RawVfioUserClient.Connect(Serve().SocketPath);
        AssertOk(client.Negotiate(json));
        AssertAlive(client);
    }

    [Theory]
    [InlineData("")]
    [InlineData("not JSON")]
    [InlineData("[]")]
    [InlineData("{\"capabilities\":{}} trailing")]
    [InlineData("{\"capabilities\":{}}\0")]
    [InlineData("{\"capabilities\":{\0}}")]
    [InlineData("""{"capabilities":{""")]
    [InlineData("""{"capabilities":{"max_msg_fds":1""")]
    [InlineData("""{"capabilities":{"max_msg_fds":"1}}""")]
    [InlineData("""{"capabilities":"none"}""")]
    [InlineData("""{"capabilities":{"max_msg_fds":"foo"}}""")]
    [InlineData("""{"capabilities":{"max_msg_fds":-1}}""")]
    [InlineData("""{"capabilities":{"max_msg_fds":1025}}""")]
    [InlineData("""{"capabilities":{"max_msg_fds":1e999}}""")]
    [InlineData("""{"capabilities":{"max_data_xfer_size":9223372036854775808}}""")]
    [InlineData("""{"capabilities":{"max_data_xfer_size":4294967296}}""")]
    [InlineData("""{"capabilities":{"migration":"yes"}}""")]
    [InlineData("""{"capabilities":{"migration":{"pgsize":"4k"}}}""")]
    [InlineData("""{"capabilities":{"migration":{"pgsize":4095}}}""")]
    [InlineData("""{"capabilities":{"twin_socket":true}}""")]
    [InlineData("""{"capabilities":{"twin_socket":{"supported":1}}}""")]
    [InlineData("""{"a":[[[[[[[[[[[[]]]]]]]]]]]]}""")]
    [InlineData("""{"capabilities":{"\uD800\u0061":1}}""")]
    public void Case006_bad_json_is_refused_and_ends_the_connection(string json)
    {
        using RawVfioUserClient client = RawVfioUserClient.Connect(Serve().SocketPath);
        AssertError(Errno.EINVAL, client.Negotiate(json));
        Assert.True(client.WaitForEnd());
    }

    [Fact]
    public void Case006_json_without_nul_or_too_long_is_refused()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using (RawVfioUserClient client = RawVfioUserClient.Connect(pair.SocketPath))
        {
            AssertError(Errno.EINVAL, client.Request(VfioUserCommand.Version, RawVfioUserClient.VersionPayload(0, 2, "{}").AsSpan(0, 6)));
            Assert.True(client.WaitForEnd());
        }

        using (RawVfioUserClient client = RawVfioUserClient.Connect(pair.SocketPath))
        {
            AssertError(Errno.EINVAL, client.Negotiate("{\"a\":\"" + new string('x', 1 << 19) + "\"}"));
            Assert.True(client.WaitForEnd());
        }

        using (RawVfioUserClient client = RawVfioUserClient.Connect(pair.SocketPath))
        {
            AssertError(Errno.EINVAL, client.Request(VfioUserCommand.Version, [0, 0]));
            Assert.True(client.WaitForEnd());
        }
    }

    [Fact]
    public void Case007_major_1_is_refused()
    {
        using RawVfioUserClient client = RawVfioUserClient.Connect(Serve().SocketPath);
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.Version, RawVfioUserClient.VersionPayload(1, 0, "{}")));
        Assert.True(client.WaitForEnd());
    }

    [Fact]
    public void Case008_first_message_must_be_version()
    {
        using RawVfioUserClient client = RawVfioUserClient.Connect(Serve().SocketPath);
        AssertError(Errno.EINVAL, client.Request(VfioUserCommand.DeviceGetInfo, new vfio_user_device_info { argsz = 16 }));
        Assert.True(client.WaitForEnd());
    }

    [Fact]
    public void Case009_second_version_is_refused_and_the_connection_stays()
    {
        using RawVfioUserClient client = Serve().ConnectRaw();
        AssertError(Errno.EINVAL, client.Negotiate("{}"));
        AssertAlive(client);
    }

    [Fact]
    public void Case010_descriptor_with_version_is_closed()
    {
        DevicePair<ConformanceDevice> pair = Serve();
        using MemFd memory = Memory();
        using RawVfioUserClient client = RawVfioUserClient.Connect(pair.SocketPath);
        AssertOk(client.Request(VfioUserCommand.Version, RawVfioUserClient.VersionPayload(0, 2, "{}"), memory.Descriptor));
        ProcessResources before = ProcessResources.Capture();
        AssertAlive(client);
        AssertNothingLeft(before);
    }

    [Fact]
    public void Case011_twin_socket()
    {
        using RawVfioUserClient client = RawVfioUserClient.Connect(Serve().SocketPath);
        using VfioUserMessage reply = client.Negotiate(TwinCapabilities);
        JsonElement twin = Capabilities(reply).GetProperty("twin_socket");
        Assert.True(twin.GetProperty("supported").GetBoolean());
        Assert.Equal(0, twin.GetProperty("fd_index").GetInt32());
        Assert.Equal(1, reply.DescriptorCount);
        using UnixSocket socket = new(reply.TakeDescriptor(0));
        Assert.Equal(Errno.None, socket.TryGetListening(out bool listening));
        Assert.False(listening);
        Assert.Equal(Errno.None, socket.TryGetPeerCredentials(out PeerCredentials peer));
        Assert.Equal(Environment.ProcessId, peer.ProcessId);
    }

    [Fact]
    public void Case012_no_twin_without_room_for_its_descriptor()
    {
        using RawVfioUserClient client = RawVfioUserClient.Connect(Serve().SocketPath);
        using VfioUserMessage reply = client.Negotiate("""{"capabilities":{"max_msg_fds":0,"twin_socket":{"supported":true}}}""");
        Assert.Equal(Errno.None, reply.Error);
        Assert.Equal(0, reply.DescriptorCount);
        Assert.False(Capabilities(reply).TryGetProperty("twin_socket", out _));

        // Nor any other descriptor.
        using VfioUserMessage region = client.Request(VfioUserCommand.DeviceGetRegionInfo, new vfio_region_info { argsz = 32, index = 3 });
        Assert.Equal(0, region.DescriptorCount);
    }

    [Fact]
    public void Case013_transfer_size_0_is_refused()
    {
        using RawVfioUserClient client = RawVfioUserClient.Connect(Serve().SocketPath);
        AssertError(Errno.EINVAL, client.Negotiate("""{"capabilities":{"max_data_xfer_size":0}}"""));
        Assert.True(client.WaitForEnd());
    }

    [Fact]
    public void Case014_silent_client_is_dropped_and_the_next_served()
    {
        DevicePair<ConformanceDevice> pair = Serve(Impatient);
        using RawVfioUserClient silent = RawVfioUserClient.Connect(pair.SocketPath);
        long started = Stopwatch.GetTimestamp();
        Assert.True(silent.WaitForEnd());
        Assert.InRange(Stopwatch.GetElapsedTime(started).TotalMilliseconds, 50, 30_000);
        WaitFor(() => !pair.Server!.HasClient);
        Assert.Equal(ConnectionEnd.TimedOut, pair.Server!.LastEnd);

        using RawVfioUserClient next = pair.ConnectRaw();
        AssertAlive(next);
    }
}

using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;
using Vfio.Testing;
using Vfio.TestUtilities;
using Vfio.User.Tests.Devices;

namespace Vfio.User.Tests.Conformance;

/// <summary>Base of the cases of spec vfio-user §9: a served device, and a check that nothing is left behind.</summary>
public abstract class ConformanceTest : IAsyncDisposable
{
    protected const string TwinCapabilities = """{"capabilities":{"max_msg_fds":16,"twin_socket":{"supported":true}}}""";
    protected static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    protected static readonly TimeSpan Short = TimeSpan.FromMilliseconds(200);
    private readonly DescriptorLeakGuard _guard = new();
    private readonly List<IAsyncDisposable> _owned = [];

    public async ValueTask DisposeAsync()
    {
        for (int i = _owned.Count - 1; i >= 0; i--)
        {
            await _owned[i].DisposeAsync();
        }

        _guard.Dispose();
        GC.SuppressFinalize(this);
    }

    protected static VfioUserServerOptions Impatient { get; } = new() { MessageTimeout = Short, NegotiationTimeout = Short };

    protected DevicePair<ConformanceDevice> Serve(VfioUserServerOptions? options = null, Func<ConformanceDevice>? create = null)
        => Own(DevicePair.Serve(create ?? (static () => new ConformanceDevice()), new DevicePairOptions { Server = options }));

    protected T Own<T>(T value)
        where T : IAsyncDisposable
    {
        _owned.Add(value);
        return value;
    }

    protected static void WaitFor(Func<bool> condition)
        => Assert.True(SpinWait.SpinUntil(condition, Patience), "The condition did not come true in time.");

    protected static int CountDescriptors() => ProcessResources.Capture().Descriptors.Count;

    /// <summary>
    /// No descriptor and no mapping is there that was not before. There may be fewer: threads of earlier tests close theirs when they like.
    /// </summary>
    protected static void AssertNothingLeft(ProcessResources before) => Assert.Empty(ProcessResources.Capture().LeakedSince(before));

    protected static void AssertError(Errno expected, VfioUserMessage reply)
    {
        using (reply)
        {
            Assert.Equal(expected, reply.Error);
            if (expected != Errno.None)
            {
                Assert.Empty(reply.Payload);
                Assert.Equal(0, reply.DescriptorCount);
            }
        }
    }

    protected static void AssertOk(VfioUserMessage reply) => AssertError(Errno.None, reply);

    /// <summary>The connection is in order: it answers a request.</summary>
    protected static void AssertAlive(RawVfioUserClient client)
    {
        using VfioUserMessage reply = client.Request(VfioUserCommand.DeviceGetInfo, new vfio_user_device_info { argsz = 16 });
        Assert.Equal(Errno.None, reply.Error);
        Assert.Equal(16, reply.Payload.Length);
    }

    protected static uint Read32(RawVfioUserClient client, ulong offset, uint region = 0)
        => BinaryPrimitives.ReadUInt32LittleEndian(client.ReadRegion(region, offset, 4));

    protected static ulong Read64(RawVfioUserClient client, ulong offset, uint region = 0)
        => BinaryPrimitives.ReadUInt64LittleEndian(client.ReadRegion(region, offset, 8));

    protected static void Write32(RawVfioUserClient client, ulong offset, uint value, uint region = 0)
    {
        byte[] bytes = new byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        Assert.Equal(Errno.None, client.WriteRegion(region, offset, bytes));
    }

    protected static void Write64(RawVfioUserClient client, ulong offset, ulong value, uint region = 0)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        Assert.Equal(Errno.None, client.WriteRegion(region, offset, bytes));
    }

    protected static void StartDma(RawVfioUserClient client, ulong address, int length, uint command)
    {
        Write64(client, ControlBlock.DmaAddress, address);
        Write32(client, ControlBlock.DmaLength, (uint)length);
        Write32(client, ControlBlock.DmaCommand, command);
    }

    protected static byte[] Bytes<T>(in T value)
        where T : unmanaged
        => MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)).ToArray();

    protected static byte[] Join(params byte[][] parts) => [.. parts.SelectMany(static part => part)];

    protected static byte[] Feature(uint flags, uint argsz, params byte[] data)
        => Join(Bytes(new vfio_device_feature { argsz = argsz, flags = flags }), data);

    /// <summary>The request for a state of migration.</summary>
    protected static byte[] SetState(MigrationState state)
        => Feature(2 | (1 << 17), 16, Bytes(new vfio_device_feature_mig_state { device_state = (uint)state, data_fd = -1 }));

    /// <summary>Where a capability is in configuration space.</summary>
    protected static int FindCapability(RawVfioUserClient client, byte id)
    {
        const uint Config = 7;
        byte[] image = client.ReadRegion(Config, 0, 256);
        int at = image[0x34];
        while (at != 0 && image[at] != id)
        {
            at = image[at + 1];
        }

        Assert.NotEqual(0, at);
        return at;
    }

    protected static MemFd Memory(ulong size = 0x10000) => new("test-memory", size);
}

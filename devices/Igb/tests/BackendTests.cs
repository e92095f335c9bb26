using System.Diagnostics;
using Vfio.Abi;
using Vfio.Linux;
using Vfio.Testing;
using Xunit;

namespace Vfio.Devices.Igb.Tests;

/// <summary>Backends that are interfaces of the host. Without the right to make one, what is tested is that it is said.</summary>
public sealed class BackendTests
{
    [Fact]
    public async Task Tap_and_packet_socket_of_one_interface_reach_each_other()
    {
        string name = $"igb{Environment.ProcessId}";
        Errno error = PacketSocket.TryOpenTap(name, out FileDescriptor? probe);
        probe?.Dispose();
        if (error != Errno.None)
        {
            LinuxException refused = Assert.Throws<LinuxException>(() => DescriptorPacketBackend.OpenTap(name));
            Assert.Equal(error, refused.Errno);
            Assert.Contains(name, refused.Message, StringComparison.Ordinal);
            return;
        }

        await using DevicePair<IgbDevice> tap = Nic.Pair(IgbOptions.Parse([$"backend=tap:{name}"]));

        // Without IPv6 the system itself sends nothing there.
        File.WriteAllText($"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "1");
        using (Process ip = Process.Start("ip", ["link", "set", name, "up"]))
        {
            await ip.WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.Equal(0, ip.ExitCode);
        }

        await using DevicePair<IgbDevice> socket = Nic.Pair(IgbOptions.Parse([$"backend=packet:{name}"]));
        using var inside = new Nic(tap.Connection);
        using var outside = new Nic(socket.Connection);
        inside.Start(Nic.Promiscuous);
        outside.Start(Nic.Promiscuous);
        inside.Supply(8);
        outside.Supply(8);

        byte[] frame = Nic.Frame(200);
        inside.Send(frame);
        Assert.Equal(frame, outside.Receive().Data);
        frame = Nic.Frame(1400);
        outside.Send(frame);
        Assert.Equal(frame, inside.Receive().Data);
    }

    [Theory]
    [InlineData("")]
    [InlineData("a-name-of-16-bytes")]
    public void Names_that_no_interface_has_are_refused(string name)
    {
        Assert.Equal(Errno.EINVAL, PacketSocket.TryOpenTap(name, out FileDescriptor? tap));
        Assert.Null(tap);
        Assert.Equal(Errno.EINVAL, PacketSocket.TryOpenInterface(name, out FileDescriptor? socket));
        Assert.Null(socket);
    }

    [Fact]
    public void Interface_that_is_not_there_is_told()
    {
        Errno error = PacketSocket.TryOpenInterface("no-such-if", out FileDescriptor? socket);
        Assert.Null(socket);
        Assert.True(error is Errno.ENODEV or Errno.EPERM, $"{error}");
    }
}

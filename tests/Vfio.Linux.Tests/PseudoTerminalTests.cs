using Vfio.Abi;
using Vfio.TestUtilities;

namespace Vfio.Linux.Tests;

public sealed class PseudoTerminalTests
{
    [Fact]
    public void Bytes_pass_raw_in_both_directions()
    {
        using DescriptorLeakGuard guard = new();
        using PseudoTerminal terminal = new();
        Assert.Equal(Errno.None, FileDescriptor.TryOpen(terminal.SlavePath, OpenMode.ReadWrite | OpenMode.NoControllingTerminal, out FileDescriptor? slave));
        using (slave)
        {
            // Control-C, carriage return, line feed and end of file mean nothing in raw mode, and nothing is echoed.
            byte[] special = [3, 13, 10, 4, 255];
            Assert.Equal(5, terminal.Master.Write(special).Count);
            byte[] buffer = new byte[16];
            Assert.Equal(5, slave!.Read(buffer).Count);
            Assert.Equal(special, buffer[..5]);

            Assert.Equal(5, slave.Write(special).Count);
            Assert.Equal(5, terminal.Master.Read(buffer).Count);
            Assert.Equal(special, buffer[..5]);
        }
    }

    [Fact]
    public void Master_survives_a_user_who_leaves()
    {
        using PseudoTerminal terminal = new();
        Assert.Equal(Errno.None, terminal.Master.TrySetNonBlocking());
        Assert.Equal(Errno.None, FileDescriptor.TryOpen(terminal.SlavePath, OpenMode.ReadWrite | OpenMode.NoControllingTerminal, out FileDescriptor? slave));
        slave!.Dispose();

        Assert.Equal(Errno.EAGAIN, terminal.Master.Read(new byte[1]).Error);
    }
}

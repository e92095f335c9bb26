using Vfio.Abi;
using Vfio.TestUtilities;

namespace Vfio.Linux.Tests;

public sealed class FileDescriptorTests
{
    [Fact]
    public void TryOpen_missing_path_is_ENOENT()
    {
        Assert.Equal(Errno.ENOENT, FileDescriptor.TryOpen("/nonexistent/file", OpenMode.ReadOnly, out FileDescriptor? descriptor));
        Assert.Null(descriptor);
    }

    [Fact]
    public void TryGetStatus_tells_kinds_apart()
    {
        using MemFd memory = new("status", 12345);
        using EventFd eventFd = new();
        UnixSocket.CreatePair(out UnixSocket first, out UnixSocket second);
        using (first)
        using (second)
        {
            Assert.Equal(FileKind.Regular, KindOf(memory.Descriptor));
            Assert.Equal(FileKind.Anonymous, KindOf(eventFd.Descriptor));
            Assert.Equal(FileKind.Socket, KindOf(first.Descriptor));
        }

        Assert.Equal(FileKind.CharacterDevice, KindOf("/dev/null"));
        Assert.Equal(FileKind.Directory, KindOf("/tmp"));
    }

    [Fact]
    public void TryGetStatus_identifies_the_file()
    {
        using MemFd one = new("one", 12345);
        using MemFd other = new("other", 0);
        using FileDescriptor duplicate = one.Descriptor.Duplicate();

        Assert.Equal(Errno.None, one.Descriptor.TryGetStatus(out FileStatus first));
        Assert.Equal(Errno.None, duplicate.TryGetStatus(out FileStatus again));
        Assert.Equal(Errno.None, other.Descriptor.TryGetStatus(out FileStatus second));

        Assert.Equal(12345u, first.Size);
        Assert.Equal((uint)Environment.SystemPageSize, first.BlockSize);
        Assert.Equal(first, again);
        Assert.NotEqual((first.Device, first.Inode), (second.Device, second.Inode));
    }

    [Fact]
    public void TryGetStatus_of_a_device_node_gives_the_device()
    {
        using FileDescriptor zero = Open("/dev/zero");

        Assert.Equal(Errno.None, zero.TryGetStatus(out FileStatus status));

        Assert.Equal((1UL << 32) | 5, status.RepresentedDevice);
    }

    [Fact]
    public void Duplicate_is_close_on_exec_and_independent()
    {
        using MemFd memory = new("duplicate", 4096);
        FileDescriptor duplicate = memory.Descriptor.Duplicate();
        Assert.NotEqual(memory.Descriptor.Number, duplicate.Number);
        duplicate.Dispose();

        Assert.Equal(Errno.None, memory.Descriptor.TryGetStatus(out _));
        Assert.Throws<ObjectDisposedException>(() => duplicate.TryGetStatus(out _));
    }

    [Fact]
    public void Every_descriptor_made_here_is_close_on_exec()
    {
        using MemFd memory = new("cloexec", 1);
        using EventFd eventFd = new();
        using FileDescriptor file = Open("/dev/null");
        UnixSocket.CreatePair(out UnixSocket first, out UnixSocket second);
        using (first)
        using (second)
        {
            Assert.All(
                [memory.Descriptor, eventFd.Descriptor, file, first.Descriptor, second.Descriptor],
                descriptor => Assert.True((Convert.ToInt32(Flags(descriptor), 8) & 0x80000) != 0));
        }
    }

    [Fact]
    public void ReadAt_and_WriteAt_leave_the_position()
    {
        using MemFd memory = new("position", 4096);
        Assert.Equal(4, memory.Descriptor.WriteAt([1, 2, 3, 4], 100).Count);

        byte[] buffer = new byte[8];
        Assert.Equal(8, memory.Descriptor.ReadAt(buffer, 98).Count);
        Assert.Equal([0, 0, 1, 2, 3, 4, 0, 0], buffer);
        Assert.Equal(IoResult.Success(0), memory.Descriptor.ReadAt(buffer, 4096));
        Assert.Equal(2, memory.Descriptor.Write([9, 9]).Count);
        Assert.Equal(2, memory.Descriptor.ReadAt(buffer.AsSpan(0, 2), 0).Count);
        Assert.Equal([9, 9], buffer[..2]);
    }

    [Fact]
    public void ReadAt_offset_beyond_long_is_EINVAL()
    {
        using MemFd memory = new("offset", 4096);

        Assert.Equal(Errno.EINVAL, memory.Descriptor.ReadAt(new byte[1], ulong.MaxValue).Error);
    }

    [Fact]
    public void ReadAt_socket_is_ESPIPE()
    {
        UnixSocket.CreatePair(out UnixSocket first, out UnixSocket second);
        using (first)
        using (second)
        {
            Assert.Equal(Errno.ESPIPE, first.Descriptor.ReadAt(new byte[1], 0).Error);
        }
    }

    [Fact]
    public void TrySetNonBlocking_makes_a_read_answer_EAGAIN()
    {
        UnixSocket.CreatePair(out UnixSocket first, out UnixSocket second);
        using (first)
        using (second)
        {
            Assert.Equal(Errno.None, first.Descriptor.TrySetNonBlocking());
            Assert.Equal(Errno.EAGAIN, first.Descriptor.Read(new byte[1]).Error);
        }
    }

    [Fact]
    public void Ioctl_unknown_command_is_ENOTTY()
    {
        using MemFd memory = new("ioctl", 0);
        int argument = 0;

        Assert.Equal(Errno.ENOTTY, memory.Descriptor.Ioctl(VfioUapi.VFIO_DEVICE_GET_INFO, ref argument).Error);
    }

    [Fact]
    public void Dispose_during_a_blocking_read_does_not_close_under_it()
    {
        UnixSocket.CreatePair(out UnixSocket first, out UnixSocket second);
        using (first)
        using (second)
        {
            IoResult result = default;
            Thread reader = new(() => result = first.Descriptor.Read(new byte[1]));
            reader.Start();
            Thread.Sleep(20);
            int number = first.Descriptor.Number;
            first.Descriptor.Dispose();
            Assert.NotNull(new FileInfo($"/proc/self/fd/{number}").LinkTarget);
            Assert.Equal(1, second.Send([7]).Count);
            Assert.True(reader.Join(5000));
            Assert.Equal(1, result.Count);
        }
    }

    [Fact]
    public void IsEventFd_allocates_nothing()
    {
        using EventFd eventFd = new();

        Assert.Equal(0, AllocationMeter.Measure(() => eventFd.Descriptor.IsEventFd()));
    }

    private static FileKind KindOf(string path)
    {
        using FileDescriptor descriptor = Open(path);
        return KindOf(descriptor);
    }

    private static FileKind KindOf(FileDescriptor descriptor)
    {
        Assert.Equal(Errno.None, descriptor.TryGetStatus(out FileStatus status));
        return status.Kind;
    }

    private static FileDescriptor Open(string path)
    {
        Assert.Equal(Errno.None, FileDescriptor.TryOpen(path, OpenMode.ReadOnly, out FileDescriptor? descriptor));
        return descriptor!;
    }

    private static string Flags(FileDescriptor descriptor) =>
        File.ReadLines($"/proc/self/fdinfo/{descriptor.Number}").Single(line => line.StartsWith("flags:", StringComparison.Ordinal))[6..].Trim();

    [Fact]
    public void TryPunchHole_clears_the_range_and_keeps_the_length()
    {
        using MemFd memory = new("holes", 3 * 4096);
        byte[] content = new byte[3 * 4096];
        Array.Fill(content, (byte)7);
        Assert.Equal(content.Length, memory.Descriptor.WriteAt(content, 0).Count);

        Assert.Equal(Errno.None, memory.Descriptor.TryPunchHole(100, 4096));

        Assert.Equal(content.Length, memory.Descriptor.ReadAt(content, 0).Count);
        Assert.Equal(7, content[99]);
        Assert.Equal(-1, content.AsSpan(100, 4096).IndexOfAnyExcept((byte)0));
        Assert.Equal(7, content[4196]);
        Assert.Equal(Errno.None, memory.Descriptor.TrySynchronize());
        Assert.Equal(Errno.EINVAL, memory.Descriptor.TryPunchHole(0, 0));
        Assert.Equal(Errno.EINVAL, memory.Descriptor.TryPunchHole(ulong.MaxValue, 1));
        Assert.Equal(Errno.EINVAL, memory.Descriptor.TryPunchHole(long.MaxValue, 1));
    }
}

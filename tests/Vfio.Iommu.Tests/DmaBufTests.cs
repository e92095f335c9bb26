using Vfio.Abi;
using Vfio.Linux;
using static Vfio.Iommu.Tests.IommufdCaller;
using static Vfio.Iommu.Testing.MockIommu;

namespace Vfio.Iommu.Tests;

/// <summary>Another device's memory in an address space (spec iommufd §2.7, §7.3: dmabuf_simple, dmabuf_revoke).</summary>
public sealed class DmaBufTests : IClassFixture<DescriptorLeakFixture>
{
    [Fact]
    public void A_part_must_lie_inside_and_is_for_hardware_only()
    {
        using IommufdCaller c = new();
        using TestDmaBuf buffer = new(2);
        c.Files.Files[7] = buffer;
        uint ioas = c.Alloc();
        IommufdDevice device = c.Attach(ioas);
        Assert.Equal(Errno.EINVAL, c.MapFile(ioas, 7, 0, 0, Base));
        Assert.Equal(Errno.EINVAL, c.MapFile(ioas, 7, 4 * P, P, Base));
        Assert.Equal(Errno.EINVAL, c.MapFile(ioas, 7, 0, 5 * P, Base));
        Assert.Equal(Errno.None, c.MapFile(ioas, 7, 0, 4 * P, Base));
        byte[] written = [1, 2, 3, 4];
        Assert.Equal(Errno.None, device.Write(Base + (2 * P) - 2, written)); // Over the edge between two pieces.
        byte[] read = new byte[4];
        Assert.Equal(Errno.None, device.Read(Base + (2 * P) - 2, read));
        Assert.Equal(written, read);
        Assert.Equal(3, buffer.Second[0]);
        Assert.Equal(Errno.None, c.Context.CreateAccess(static (_, _) => { }, out IommufdAccess? access));
        Assert.Equal(Errno.None, access!.AttachOrReplace(ioas));
        Assert.Equal(Errno.EINVAL, access.Read(Base, read));
        Assert.Equal(Errno.EINVAL, access.TryPin(Base, P, DmaAccess.Read, out _));
        access.Destroy();
        Assert.Equal(Errno.None, c.Unmap(ioas, Base, 4 * P));
        buffer.Dispose();
        Assert.True(buffer.IsClosed); // The import held it, and does no more.
        c.Files.Files.Clear();
    }

    [Fact]
    public void What_is_revoked_faults_and_stays_in_the_address_space()
    {
        using IommufdCaller c = new();
        using TestDmaBuf buffer = new(2);
        c.Files.Files[7] = buffer;
        uint ioas = c.Alloc();
        IommufdDevice device = c.Attach(ioas);
        Assert.Equal(Errno.None, c.MapFile(ioas, 7, 0, 4 * P, Base));
        buffer.Revoke(true);
        Assert.Equal(Errno.EFAULT, device.Read(Base, new byte[1]));
        Assert.Equal(Errno.ENODEV, c.MapFile(ioas, 7, 0, P, Base + (8 * P)));
        Assert.Equal(Errno.EEXIST, c.Map(ioas, Base, P));
        Assert.Equal(Errno.None, c.PageTable(device.Id, ioas, out uint pageTable)); // A later domain leaves it out.
        buffer.Revoke(false);
        Assert.Equal(Errno.EFAULT, device.Read(Base, new byte[1]));
        Assert.Equal(Errno.None, c.MapFile(ioas, 7, 0, P, Base + (8 * P)));
        Assert.Equal(Errno.None, device.Read(Base + (8 * P), new byte[1]));
        Assert.Equal(Errno.None, c.Destroy(pageTable));
        Assert.Equal(Errno.None, c.Unmap(ioas, 0, Max));
        buffer.Dispose();
        Assert.True(buffer.IsClosed); // The import held it, and does no more.
        c.Files.Files.Clear();
    }

    [Fact]
    public async Task A_revocation_waits_for_transfers_and_none_comes_after()
    {
        using IommufdCaller c = new();
        using TestDmaBuf buffer = new(2);
        c.Files.Files[7] = buffer;
        uint ioas = c.Alloc();
        IommufdDevice device = c.Attach(ioas);
        for (int round = 0; round < 200; round++)
        {
            Assert.Equal(Errno.None, c.MapFile(ioas, 7, 0, 4 * P, Base));
            using ManualResetEventSlim started = new();
            Task<Errno> writer = Task.Run(() =>
            {
                Errno error = device.Write(Base, [1]);
                started.Set();
                while (error == Errno.None)
                {
                    error = device.Write(Base, [1]);
                }

                return error;
            });
            started.Wait(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
            buffer.Revoke(true);
            buffer.First[0] = 0;
            Assert.Equal(Errno.EFAULT, await writer.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken));
            Assert.Equal(0, buffer.First[0]);
            buffer.Revoke(false);
            Assert.Equal(Errno.None, c.Unmap(ioas, Base, 4 * P));
        }

        c.Files.Files.Clear();
    }

    /// <summary>Two memfds of some pages as a device's memory.</summary>
    private sealed class TestDmaBuf : DmaBufFile
    {
        private readonly MemFd _first;
        private readonly MemFd _second;
        private readonly MemoryMapping _firstView;
        private readonly MemoryMapping _secondView;

        public TestDmaBuf(int pages)
            : this(new MemFd("first", (ulong)pages * P), new MemFd("second", (ulong)pages * P), (ulong)pages * P)
        {
        }

        private TestDmaBuf(MemFd first, MemFd second, ulong length)
            : base([new MappableMemory(first.Descriptor, 0, length), new MappableMemory(second.Descriptor, 0, length)], revoked: false)
        {
            (_first, _second) = (first, second);
            Assert.Equal(Errno.None, MemoryMapping.TryMap(first.Descriptor, 0, (nuint)length, MemoryProtection.ReadWrite, out MemoryMapping? firstView));
            Assert.Equal(Errno.None, MemoryMapping.TryMap(second.Descriptor, 0, (nuint)length, MemoryProtection.ReadWrite, out MemoryMapping? secondView));
            (_firstView, _secondView) = (firstView!, secondView!);
        }

        public unsafe Span<byte> First => new(_firstView.Pointer, (int)_firstView.Length);

        public unsafe Span<byte> Second => new(_secondView.Pointer, (int)_secondView.Length);

        public bool IsClosed { get; private set; }

        public void Revoke(bool revoked) => SetRevoked(revoked);

        protected override void Close()
        {
            IsClosed = true;
            _firstView.Dispose();
            _secondView.Dispose();
            _first.Dispose();
            _second.Dispose();
        }
    }
}

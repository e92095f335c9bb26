using Vfio.Abi;
using Vfio.TestUtilities;
using static Vfio.Iommu.Tests.IommufdFixture;

namespace Vfio.Iommu.Tests;

public sealed class DmaSegmentTests
{
    private static DmaSpace Connect(IommufdAccess access)
    {
        DmaSpace dma = new();
        dma.Connect(access);
        return dma;
    }

    [Fact]
    public void Read_and_Write_move_the_pieces_in_their_order()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0x10000, 8 * P));
        new Random(1).NextBytes(f.Buffer.Span);
        IommufdAccess access = f.Access();
        DmaSpace dma = Connect(access);

        // Backwards, over a page's end, and twice the same.
        DmaSegment[] pieces = [new(0x10000 + (3 * P) + 5, 100), new(0x10000 + P - 3, 7), new(0x10000, 1), new(0x10000, 1)];
        byte[] bytes = new byte[109];
        Assert.Equal(Errno.None, dma.Read(pieces, bytes, out int transferred));
        Assert.Equal(109, transferred);
        Assert.Equal([.. f.Buffer.Slice(((int)(3 * P)) + 5, 100), .. f.Buffer.Slice((int)P - 3, 7), f.Buffer.Span[0], f.Buffer.Span[0]], bytes);

        new Random(2).NextBytes(bytes);
        Assert.Equal(Errno.None, dma.Write(pieces, bytes, out transferred));
        Assert.Equal(109, transferred);
        Assert.Equal(bytes[..100], f.Buffer.Slice((nuint)((3 * P) + 5), 100));
        Assert.Equal(bytes[100..107], f.Buffer.Slice((nuint)(P - 3), 7));
        Assert.Equal(bytes[108], f.Buffer.Span[0]);
        access.Destroy();
    }

    [Fact]
    public void Read_tells_what_was_copied_before_the_piece_that_failed()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0, 2 * P));
        Assert.Equal(Errno.None, f.Map(4 * P, P, DmaAccess.Read));
        f.Buffer.Span.Fill(7);
        IommufdAccess access = f.Access();
        DmaSpace dma = Connect(access);
        byte[] bytes = new byte[300];
        Assert.Equal(Errno.ENOENT, dma.Read([new(0, 100), new(3 * P, 100), new(0, 100)], bytes, out int transferred));
        Assert.Equal(100, transferred);
        Assert.Equal([7, 0, 0], [bytes[99], bytes[100], bytes[299]]);

        Assert.Equal(Errno.EPERM, dma.Write([new(0, 50), new(100, 50), new(4 * P, 200)], bytes, out transferred));
        Assert.Equal(100, transferred);
        Assert.Equal([7, 7], [f.Buffer.Span[0], f.Buffer.Span[100 - 1]]);

        // Pieces that continue each other are one, and fail together.
        Assert.Equal(Errno.ENOENT, dma.Read([new((5 * P) - 200, 100), new((5 * P) - 100, 100), new(5 * P, 100)], bytes, out transferred));
        Assert.Equal(0, transferred);
        access.Destroy();
    }

    [Fact]
    public void Read_and_Write_pieces_that_cannot_be_are_refused_before_anything_is_copied()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0, P));
        Assert.Equal(Errno.None, f.Map(ulong.MaxValue - P + 1, P));
        IommufdAccess access = f.Access();
        DmaSpace dma = Connect(access);
        byte[] bytes = new byte[20];
        bytes.AsSpan().Fill(9);
        f.Buffer.Span.Fill(1);
        (DmaSegment[] Pieces, Errno Expected)[] cases =
        [
            ([], Errno.EINVAL),
            ([new(0, 10), new(20, 0), new(40, 10)], Errno.EINVAL),
            ([new(0, 30), new(20, -10)], Errno.EINVAL),
            ([new(0, 19)], Errno.EINVAL),
            ([new(0, 10), new(20, 11)], Errno.EINVAL),
            ([new(0, int.MaxValue), new(0, int.MaxValue), new(0, 22)], Errno.EINVAL),
            ([new(0, 10), new(ulong.MaxValue - 8, 10)], Errno.EOVERFLOW),
        ];
        foreach ((DmaSegment[] pieces, Errno expected) in cases)
        {
            Assert.Equal((expected, 0), (dma.Read(pieces, bytes, out int read), read));
            Assert.Equal((expected, 0), (dma.Write(pieces, bytes, out int written), written));
        }

        Assert.All(bytes, static value => Assert.Equal(9, value));
        Assert.Equal(1, f.Buffer.Span[0]);

        // The last address and the first do not continue each other.
        f.Buffer.Span[(int)P - 1] = 2;
        Assert.Equal(Errno.None, dma.Read([new(ulong.MaxValue, 1), new(0, 19)], bytes, out _));
        Assert.Equal([2, 1], bytes[..2]);
        Assert.Equal((Errno.EINVAL, 0), (new DmaSpace().Read([new(0, 20)], bytes, out int none), none));
        access.Destroy();
    }

    [Fact]
    public void Read_and_Write_of_pieces_allocate_nothing()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0, 4 * P));
        IommufdAccess access = f.Access();
        DmaSpace dma = Connect(access);
        byte[] bytes = new byte[8192];
        DmaSegment[] pieces = [new(0, 64), new(P, 4096), new(2 * P, 4032)];
        bool right = true;
        Assert.Equal(0, AllocationMeter.Measure(() =>
        {
            right &= dma.Read(pieces, bytes, out _) == Errno.None && dma.Write(pieces, bytes, out int written) == Errno.None && written == 8192;
            right &= dma.Read([new(9 * P, 8192)], bytes, out _) == Errno.ENOENT;
        }));
        Assert.True(right);
        access.Destroy();
    }
}

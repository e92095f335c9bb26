using Vfio.Abi;

namespace Vfio.Iommu.Tests;

/// <summary>Ids, references and destruction (spec iommufd §1.2, §1.3, §8.1).</summary>
public sealed class ObjectTableTests
{
    [Fact]
    public void Case001_alloc_ids_start_at_one_and_ascend()
    {
        using IommufdContext context = new();
        for (uint id = 1; id <= 3; id++)
        {
            Assert.Equal(Errno.None, context.AllocateIoas(out Ioas? ioas));
            Assert.Equal(id, ioas!.Id);
        }
    }

    [Fact]
    public void Case002_destroyed_id_is_reused()
    {
        using IommufdContext context = new();
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(Errno.None, context.AllocateIoas(out _));
        }

        Assert.Equal(Errno.None, context.Destroy(2));
        Assert.Equal(Errno.None, context.AllocateIoas(out Ioas? ioas));
        Assert.Equal(2u, ioas!.Id);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(99u)]
    public void Case003_004_destroy_unknown_id_is_ENOENT(uint id)
    {
        using IommufdContext context = new();
        Assert.Equal(Errno.ENOENT, context.Destroy(id));
    }

    [Fact]
    public void Case018_destroy_with_mappings_succeeds()
    {
        using IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0, IommufdFixture.P));
        Assert.Equal(Errno.None, f.Context.Destroy(f.Ioas.Id));
    }

    [Fact]
    public void Case020_022_destroy_of_attached_ioas_and_of_access_is_EBUSY()
    {
        using IommufdFixture f = new();
        IommufdAccess access = f.Access();
        Assert.Equal(Errno.EBUSY, f.Context.Destroy(f.Ioas.Id));
        Assert.Equal(Errno.EBUSY, f.Context.Destroy(access.Id));
        access.Destroy();
        Assert.Equal(Errno.ENOENT, f.Context.Destroy(access.Id));
        Assert.Equal(Errno.None, f.Context.Destroy(f.Ioas.Id));
    }

    [Fact]
    public void Dispose_with_bound_access_keeps_objects_until_it_is_destroyed()
    {
        IommufdFixture f = new();
        Assert.Equal(Errno.None, f.Map(0, IommufdFixture.P));
        IommufdAccess access = f.Access();
        f.Context.Dispose();
        Assert.Equal(2, f.Context.ObjectCount);
        Assert.Equal(Errno.None, access.Write(0, [1]));
        access.Destroy();
        Assert.Equal(0, f.Context.ObjectCount);
        f.Buffer.Dispose();
    }

    [Fact]
    public void Allocate_beyond_the_limit_is_ENOMEM()
    {
        using IommufdContext context = new(new IommufdLimits { MaximumObjects = 2 });
        Assert.Equal(Errno.None, context.AllocateIoas(out _));
        Assert.Equal(Errno.None, context.AllocateIoas(out _));
        Assert.Equal(Errno.ENOMEM, context.AllocateIoas(out _));
    }
}

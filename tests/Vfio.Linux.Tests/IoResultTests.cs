using Vfio.Abi;

namespace Vfio.Linux.Tests;

public sealed class IoResultTests
{
    [Fact]
    public void Success_carries_its_value()
    {
        IoResult result = IoResult.Success(42);

        Assert.False(result.IsError);
        Assert.Equal(Errno.None, result.Error);
        Assert.Equal(42, result.Value);
        Assert.Equal(42, result.Count);
        Assert.Equal("42", result.ToString());
    }

    [Fact]
    public void Errno_becomes_a_negative_value()
    {
        IoResult result = Errno.EINVAL;

        Assert.True(result.IsError);
        Assert.Equal(Errno.EINVAL, result.Error);
        Assert.Equal(-22, result.Value);
        Assert.Equal(0, result.Count);
        Assert.Equal("EINVAL", result.ToString());
    }

    [Fact]
    public void None_is_success() => Assert.Equal(IoResult.Success(), (IoResult)Errno.None);

    [Fact]
    public void Count_of_more_than_an_int_is_the_largest_int() => Assert.Equal(int.MaxValue, IoResult.Success(1L << 40).Count);

    [Fact]
    public void Equality_compares_value_and_error()
    {
        Assert.True((IoResult)Errno.EIO == Errno.EIO);
        Assert.True((IoResult)Errno.EIO != IoResult.Success(5));
        Assert.Equal(((IoResult)Errno.EIO).GetHashCode(), ((IoResult)Errno.EIO).GetHashCode());
    }

    [Theory]
    [InlineData(Errno.EAGAIN, "EAGAIN")]
    [InlineData(Errno.EDEADLOCK, "EDEADLK")]
    [InlineData((Errno)4000, "errno 4000")]
    public void GetName_of_aliases_and_unknown_numbers(Errno error, string name) => Assert.Equal(name, error.GetName());

    [Fact]
    public void LinuxException_says_what_was_tried()
    {
        LinuxException exception = Assert.Throws<LinuxException>(() => Errno.EMFILE.ThrowIfError("open the box"));

        Assert.Equal(Errno.EMFILE, exception.Errno);
        Assert.Equal("open the box", exception.Operation);
        Assert.StartsWith("Could not open the box: EMFILE (", exception.Message, StringComparison.Ordinal);
        Assert.Contains("ulimit", exception.Message, StringComparison.Ordinal);
    }
}

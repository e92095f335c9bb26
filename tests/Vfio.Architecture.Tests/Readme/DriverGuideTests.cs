using Vfio.Abi;
using Vfio.Linux;
using Vfio.Testing;
using Vfio.TestUtilities;

namespace Vfio.Architecture.Tests.Readme;

/// <summary>Every piece of code in the guide for driver authors is compiled and run here.</summary>
public sealed class DriverGuideTests
{
    [Fact]
    public void Every_snippet_of_the_guide_is_compiled() => Snippets.AssertCompiled("docs/driver-author.md");

    // GUIDE
    [Theory]
    [InlineData("local")]
    [InlineData("unix")]
    public async Task Driver_sums(string transport)
    {
        await using DevicePair<ChecksumDevice> pair = transport == "local"
            ? DevicePair.Local(static () => new ChecksumDevice())
            : DevicePair.OverSocket(static () => new ChecksumDevice());
        await using ChecksumDriver driver = ChecksumDriver.Open(pair.Connection);
        Assert.Equal(6u, await driver.SumAsync(new byte[] { 1, 2, 3 }, TestContext.Current.CancellationToken));
    }
    // END

    [Fact]
    public async Task A_failed_access_tells_what_was_tried()
    {
        await using DevicePair<ChecksumDevice> pair = DevicePair.OverSocket(static () => new ChecksumDevice());
        VfioConnection connection = pair.Connection;

        // GUIDE
        Errno error = connection.TryRead((uint)PciRegion.Bar0, 0x10_0000, new byte[4]);     // a value: EINVAL
        VfioException thrown = Assert.Throws<VfioException>(() => connection.Bar(0).Read32(0x10_0000));
        // END

        Assert.Equal(Errno.EINVAL, error);
        Assert.Equal(Errno.EINVAL, thrown.Errno);
        Assert.Contains(connection.Address, thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_user_is_asked_when_the_device_is_withdrawn()
    {
        DevicePair<ChecksumDevice> pair = DevicePair.Local(static () => new ChecksumDevice());
        VfioConnection connection = pair.Connection;

        // GUIDE
        CancellationToken asked = connection.ReleaseRequested;
        using CancellationTokenRegistration letGo = asked.Register(connection.Dispose);
        // END

        Assert.False(asked.IsCancellationRequested);
        Task withdrawn = pair.Registration.UnregisterAsync(TestContext.Current.CancellationToken);
        await withdrawn.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        await pair.DisposeAsync();
    }
}

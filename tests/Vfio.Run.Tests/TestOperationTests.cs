namespace Vfio.Run.Tests;

/// <summary>The operations by which programs test iommufd itself.</summary>
public sealed class TestOperationTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Program_looks_behind_iommufd(bool asNobody)
        => (await SupervisedRun.RunWithAsync(["--test-ops"], [TestPrograms.Get("testops")], asNobody)).ShouldSucceed();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Memory_is_charged_to_its_process_and_outlives_it(bool asNobody)
        => (await SupervisedRun.RunWithAsync(["--test-ops"], [TestPrograms.Get("owners")], asNobody)).ShouldSucceed();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Program_maps_a_virtual_iommu_and_answers_its_faults(bool asNobody)
        => (await SupervisedRun.RunWithAsync(["--test-ops"], [TestPrograms.Get("viommu")], asNobody)).ShouldSucceed();

    [Fact]
    public async Task Without_the_option_there_are_none()
    {
        RunResult result = await SupervisedRun.RunWithAsync([], [TestPrograms.Get("testops")]);
        Assert.Equal(99, result.Status);
        Assert.Contains("Inappropriate ioctl", result.Output, StringComparison.Ordinal);
    }
}

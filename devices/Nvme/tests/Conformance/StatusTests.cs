using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests.Conformance;

/// <summary>Each row of <see cref="StatusCases"/>, and that the controller goes on afterwards.</summary>
public sealed class StatusTests
{
    private static readonly Dictionary<string, StatusCase> s_rows = StatusCases.Rows.ToDictionary(static row => row.Name, StringComparer.Ordinal);

    public static TheoryData<string> Names => [.. s_rows.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Command_gets_its_status(string name)
    {
        StatusCase row = s_rows[name];
        await using var rig = new NvmeRig(row.Options?.Invoke() ?? StatusCases.Options);
        RawQueue queue = rig.CreateQueue(1);
        Assert.Equal(0, rig.Admin.Execute(NvmeRig.CreateCompletions(new RawQueue(rig, 2, 16, queue.Submissions, rig.Allocate(4096)))).Status);

        RawCompletion completion = (row.IsAdmin ? rig.Admin : queue).Execute(row.Build(rig));

        Assert.Equal($"{row.Status:X3}", $"{completion.Status:X3}");
        Assert.Equal(1U, rig.Status);
        Assert.Equal(0, rig.Admin.Execute(new RawCommand(0x06) { Prp1 = rig.Data.Iova }.Set(10, 1)).Status);
    }

    [Fact]
    public void Rows_are_many_and_each_has_its_own_name()
    {
        Assert.Equal(StatusCases.Rows.Count, s_rows.Count);
        Assert.True(s_rows.Count >= 200, $"{s_rows.Count} rows");
    }
}

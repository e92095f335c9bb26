using System.Globalization;
using System.Text.RegularExpressions;

namespace Vfio.Run.Tests;

/// <summary>DPDK's packet forwarder and its test of DMA devices, as Debian has them (package dpdk-dev), on devices of ours.</summary>
public sealed partial class DpdkTests
{
    private const string Token = "52ac9bff-3a88-4fbd-901a-0d767c3b6c97";

    [Fact]
    public async Task Testpmd_forwards_between_two_controllers_on_a_link()
    {
        RunResult result = await SupervisedRun.RunWithAsync(
            ["--device", "igb,backend=pair:a@06:00.0", "--device", "igb,backend=pair:a@07:00.0"],
            Testpmd("-a 06:00.0 -a 07:00.0 -- --forward-mode=io --tx-first"));

        // Each burst goes round and round: nothing is lost, and what one port sends the other receives.
        (long[] received, long[] sent) = Counts(result);
        Assert.Equal(3, received.Length);
        Assert.True(received[0] > 10_000 && received[1] > 10_000, result.Output);
        Assert.InRange(sent[0] - received[1], 0, 64);
        Assert.InRange(sent[1] - received[0], 0, 64);
    }

    [Fact]
    public async Task Testpmd_drives_a_virtual_function_next_to_its_physical_one()
    {
        string[] program = Testpmd($"--vfio-vf-token {Token} -a 06:00.0 -a 07:10.0 -- --forward-mode=txonly");
        RunResult result = await SupervisedRun.RunWithAsync(
            ["--device", "igb,backend=loopback@06:00.0"],
            ["/bin/sh", "-c", $"echo 1 | tee /sys/bus/pci/devices/0000:06:00.0/sriov_numvfs >/dev/null && exec {string.Join(' ', program)}"]);

        // Both send, the function by queues of its own.
        (_, long[] sent) = Counts(result);
        Assert.True(sent[0] > 10_000 && sent[1] > 10_000, result.Output);
        Assert.Contains("net_e1000_igb_vf (8086:10ca)", result.Output + result.Error, StringComparison.Ordinal);
    }

    /// <summary>DPDK's own test of DMA devices copies and compares by each channel or work queue.</summary>
    [Theory]
    [InlineData("ioat", "06:00.0", 1)]
    [InlineData("dsa", "06:00.0,max_queues=2", 2)]
    public async Task Dma_test_copies_and_verifies(string model, string allowed, int queues)
    {
        RunResult result = await SupervisedRun.RunWithAsync(
            ["--device", $"{model}@06:00.0"],
            ["/bin/sh", "-c", $"exec dpdk-test --no-huge --no-shconf -m 128 --lcores=0@0 -a {allowed} dmadev_autotest </dev/null"]);
        string tail = result.Output[^Math.Min(2000, result.Output.Length)..];
        Assert.True(result.Output.Contains("Test OK", StringComparison.Ordinal), $"status {result.Status}, is dpdk-test there (package dpdk-dev)? {tail} {result.Error}");
        Assert.Equal(queues, TestedDevice().Count(result.Output));
        Assert.DoesNotContain("Errors: 1", result.Output, StringComparison.Ordinal);
    }

    /// <summary>A few seconds of it, in one process without huge pages.</summary>
    private static string[] Testpmd(string arguments)
        => ["timeout", "--preserve-status", "-s", "INT", "8", "dpdk-testpmd", "--no-huge", "--no-shconf", "-m", "128", "--lcores=0@0,1@0", .. arguments.Split(' '),
            "--total-num-mbufs=4096", "--auto-start", "--stats-period", "60"];

    /// <summary>The forward statistics at the end: of each port, and of all.</summary>
    private static (long[] Received, long[] Sent) Counts(RunResult result)
    {
        Assert.True(result.Output.Contains("Forward statistics", StringComparison.Ordinal), $"status {result.Status}, is dpdk-testpmd there (package dpdk-dev)? {result.Output} {result.Error}");
        return (Of("RX"), Of("TX"));

        long[] Of(string direction) => [.. ForwardCount().Matches(result.Output).Where(match => match.Groups[1].Value == direction)
            .Select(static match => long.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture))];
    }

    [GeneratedRegex(@"### Test dmadev instance \d+ \[0000:06:00\.0")]
    private static partial Regex TestedDevice();

    [GeneratedRegex(@"^  ([RT]X)-packets: (\d+) +[RT]X-dropped", RegexOptions.Multiline)]
    private static partial Regex ForwardCount();
}

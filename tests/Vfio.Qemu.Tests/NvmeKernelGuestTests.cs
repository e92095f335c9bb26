using System.Text.Json.Nodes;

namespace Vfio.Qemu.Tests;

/// <summary>Our NVMe driver on a controller that is not ours: QEMU's, inside the guest, by the guest kernel's VFIO.</summary>
[Collection(KernelCollection.Name)]
public sealed class NvmeKernelGuestTests(NvmeKernelFixture fixture) : IClassFixture<NvmeKernelFixture>
{
    [Fact]
    public async Task Driver_passes_its_own_tests()
        => Assert.True(await GuestTestRun.RunAsync(fixture.Guest, "NvmeDriverKernelTests", $"kernel:{NvmeKernelFixture.Nvme}") >= 12);

    [Theory]
    [InlineData("cdev")]
    [InlineData("groupType1")]
    public async Task Pattern_of_64_MiB_survives_resets_in_the_middle(string path)
    {
        JsonNode verified = JsonNode.Parse(await fixture.VfioAsync($"nvme kernel:{NvmeKernelFixture.Nvme}?path={path} verify --size 64M --reset-after 32M --yes --json"))!;
        Assert.True((bool)verified["equal"]!);
        Assert.Equal((string?)verified["written"], (string?)verified["read"]);
        Assert.Equal((64 << 20, 2), ((int)verified["bytes"]!, (int)verified["resets"]!));

        // How many commands the resets meet is chance here; the driver's own tests have it that some are met.
        TestContext.Current.TestOutputHelper?.WriteLine(verified.ToJsonString());
    }

    [Fact]
    public async Task Identify_and_smart_are_those_of_QEMU()
    {
        JsonNode identity = JsonNode.Parse(await fixture.VfioAsync($"nvme kernel:{NvmeKernelFixture.Nvme} identify --json"))!;
        Assert.Equal(("vfio-net-1", "QEMU NVMe Ctrl", "1b36"), ((string?)identity["serial"], (string?)identity["model"], (string?)identity["vendor"]));
        Assert.Equal((true, true, "Msix"), ((bool)identity["shadowDoorbells"]!, (bool)identity["mappedDoorbells"]!, (string?)identity["completions"]));
        JsonNode disk = Assert.Single(identity["namespaces"]!.AsArray())!;
        Assert.Equal((1, 262144, 512), ((int)disk["id"]!, (int)disk["blocks"]!, (int)disk["blockSize"]!));
        JsonNode smart = JsonNode.Parse(await fixture.VfioAsync($"nvme kernel:{NvmeKernelFixture.Nvme} smart --json"))!;
        Assert.Equal("None", (string?)smart["criticalWarnings"]);
        Assert.Equal(323, (int)smart["temperatureKelvin"]!);
    }

    [Fact]
    public async Task Data_is_where_QEMU_finds_it()
    {
        await fixture.VfioAsync($"nvme kernel:{NvmeKernelFixture.Nvme} write --offset 100M --yes --input /bin/busybox");
        string compared = await fixture.Guest.RunAsync($"wc -c </bin/busybox");
        int length = int.Parse(compared.Trim(), System.Globalization.CultureInfo.InvariantCulture);
        byte[] stored = await fixture.ReadDiskAsync(100 << 20, length);
        Assert.Equal("7F454C46", Convert.ToHexString(stored.AsSpan(0, 4)));
        string sum = await fixture.Guest.RunAsync("sha256sum </bin/busybox");
        Assert.StartsWith(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(stored)), sum.Trim(), StringComparison.Ordinal);
    }
}

using System.Text.Json.Nodes;

namespace Vfio.Qemu.Tests;

/// <summary>The user side on a real kernel's VFIO: our edu driver, inside the guest, drives QEMU's edu.</summary>
[Collection(GuestCollection.Name)]
public sealed class KernelGuestTests(KernelFixture fixture) : IClassFixture<KernelFixture>
{
    [Theory]
    [InlineData("", "Cdev")]
    [InlineData("--kernel-path groupType1", "GroupType1")]
    [InlineData("--kernel-path groupIommufd", "GroupIommufd")]
    [InlineData("--interrupt intx", "Cdev")]
    public async Task Edu_driver_drives_the_device_by_every_path(string option, string path)
    {
        string output = await fixture.VfioAsync($"demo --address kernel:{KernelFixture.Edu} {option}");
        Assert.Contains($"kernel:{KernelFixture.Edu} by {path}", output, StringComparison.Ordinal);
        Assert.Contains($"interrupts by {(option.Contains("intx", StringComparison.Ordinal) ? "Intx" : "Msi")}", output, StringComparison.Ordinal);
        Assert.Contains("memory: identification 010000ed", output, StringComparison.Ordinal);
        Assert.Contains("10! = 3628800, told by an interrupt", output, StringComparison.Ordinal);
        Assert.Contains("and back (iova 0x", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Info_of_the_function_is_the_kernels()
    {
        JsonNode info = JsonNode.Parse(await fixture.VfioAsync($"info --json kernel:{KernelFixture.Edu}"))!;
        Assert.Equal("1234:11e8", (string?)info["id"]);
        JsonNode bar = info["regions"]!.AsArray().Single(static region => (string?)region!["name"] == "Bar0")!;
        Assert.Equal(1 << 20, (int)bar["size"]!);
        Assert.Equal(1 << 20, (int)bar["mappable"]![0]!["size"]!);
        Assert.Equal(1, (int)info["interrupts"]![(int)PciInterrupt.Msi]!["count"]!);
        Assert.Equal(0, (int)info["interrupts"]![(int)PciInterrupt.Msix]!["count"]!);
        Assert.Equal(1, (int)info["interrupts"]![(int)PciInterrupt.Request]!["count"]!);
    }

    [Fact]
    public async Task Unbind_doctor_and_bind_change_what_the_kernel_says()
    {
        Assert.Equal($"{KernelFixture.Edu} 1234:11e8: no driver", await fixture.VfioAsync($"unbind {KernelFixture.Edu}"));

        GuestResult doctor = await fixture.TryVfioAsync($"doctor {KernelFixture.Edu}");
        Assert.Equal(1, doctor.Status);
        Assert.StartsWith("VFIO2003 error: not bound to VFIO", doctor.Output, StringComparison.Ordinal);

        Assert.StartsWith($"{KernelFixture.Edu} 1234:11e8: vfio-pci, group ", await fixture.VfioAsync($"bind {KernelFixture.Edu}"), StringComparison.Ordinal);
        Assert.Contains($"{KernelFixture.Edu}  1234:11e8  00ff00  vfio-pci", await fixture.VfioAsync("list --vfio"), StringComparison.Ordinal);
    }
}

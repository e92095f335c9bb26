using System.Text.Json.Nodes;

namespace Vfio.Qemu.Tests;

/// <summary>The user side on a real kernel's VFIO: our edu driver, inside the guest, drives QEMU's edu.</summary>
[Collection(KernelCollection.Name)]
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

    [Theory]
    [InlineData("cdev")]
    [InlineData("groupType1")]
    [InlineData("groupIommufd")]
    public async Task Edu_driver_passes_its_own_tests_by_every_path(string path)
        => Assert.True(await GuestTestRun.RunAsync(fixture.Guest, "EduDriverKernelTests", $"kernel:{KernelFixture.Edu}?path={path}") >= 10);

    [Theory]
    [InlineData("cdev")]
    [InlineData("groupType1")]
    public async Task Connection_to_the_kernel_does_what_it_says(string path)
        => Assert.Equal(5, await GuestTestRun.RunAsync(fixture.Guest, "KernelConnectionTests", $"kernel:{KernelFixture.Edu}?path={path}"));

    [Theory]
    [InlineData("cdev")]
    [InlineData("groupType1")]
    [InlineData("groupIommufd")]
    public async Task Two_functions_of_a_group_are_used_at_once(string path)
        => Assert.Equal(3, await GuestTestRun.RunAsync(fixture.Guest, "SharedGroupTests", $"kernel:{KernelFixture.Pair}?path={path}"));

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

    [Fact]
    public async Task Ordinary_user_is_told_of_permission_and_of_locked_memory()
    {
        string asUser = $"su -m somebody -s /bin/sh -c '{DotnetProgram.Tool.Command} demo --address kernel:{KernelFixture.Edu}'";
        await fixture.Guest.RunAsync("mkdir -p /etc; echo root:x:0:0::/:/bin/sh >/etc/passwd; echo somebody:x:1000:1000::/:/bin/sh >>/etc/passwd");
        GuestResult refused = await fixture.Guest.TryRunAsync(asUser, TimeSpan.FromSeconds(120));
        Assert.True(refused.Status == 1, refused.Output);
        Assert.Contains("VFIO2005", refused.Output, StringComparison.Ordinal);
        Assert.Contains("EACCES", refused.Output, StringComparison.Ordinal);

        // Registers and interrupts lock nothing: the first that fails is the memory, before the kernel is asked.
        GuestResult limited = await fixture.Guest.TryRunAsync(
            $"""
            chmod 666 /dev/iommu /dev/vfio/devices/*
            (ulimit -l 4; {asUser})
            status=$?
            chmod 600 /dev/iommu /dev/vfio/devices/*
            exit $status
            """,
            TimeSpan.FromSeconds(120));
        Assert.True(limited.Status == 1, limited.Output);
        Assert.Contains("10! = 3628800", limited.Output, StringComparison.Ordinal);
        Assert.Contains("VFIO2006", limited.Output, StringComparison.Ordinal);
        Assert.Contains("may lock 4096 bytes", limited.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("cdev")]
    [InlineData("groupType1")]
    public async Task Driver_that_is_killed_leaves_the_device_to_the_next(string path)
    {
        await fixture.Guest.RunAsync(
            $"""
            {DotnetProgram.Tool.Command} demo --address kernel:{KernelFixture.Edu} --kernel-path {path} >/tmp/killed.out 2>&1 &
            until grep -q DMA /tmp/killed.out; do [ -d /proc/$! ] || exit 1; done
            kill -9 $!
            wait
            ! grep -q took /tmp/killed.out
            """,
            TimeSpan.FromSeconds(120));
        Assert.Contains("took", await fixture.VfioAsync($"demo --address kernel:{KernelFixture.Edu} --kernel-path {path}"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Device_without_iommu_needs_consent_and_has_no_dma()
    {
        QemuInstallation.Current.RequireOwnKernel();
        await using GuestMachine guest = await GuestMachine.BootAsync(new GuestOptions
        {
            Memory = DotnetProgram.Memory,
            KernelArguments = "vfio.enable_unsafe_noiommu_mode=1",
            Devices = [QemuDevice.Of("edu").At(4)],
            Files = DotnetProgram.FilesOf(DotnetProgram.Tool),
        });
        await guest.BindAsync(KernelFixture.Edu, "vfio-pci");
        string command = $"{DotnetProgram.Tool.Command} demo --address kernel:{KernelFixture.Edu}";
        GuestResult refused = await guest.TryRunAsync(command, TimeSpan.FromSeconds(120));
        Assert.Equal(1, refused.Status);
        Assert.Contains("VFIO2007", refused.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("identified", refused.Output, StringComparison.Ordinal);

        GuestResult accepted = await guest.TryRunAsync($"{command} --unsafe-no-iommu", TimeSpan.FromSeconds(120));
        Assert.Equal(1, accepted.Status);
        Assert.Contains("by NoIommu", accepted.Output, StringComparison.Ordinal);
        Assert.Contains("10! = 3628800, told by an interrupt", accepted.Output, StringComparison.Ordinal);
        Assert.Contains("EOPNOTSUPP", accepted.Output, StringComparison.Ordinal);
    }
}

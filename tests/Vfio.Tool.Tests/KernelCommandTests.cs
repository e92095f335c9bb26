using System.Text.Json.Nodes;
using Vfio.Kernel.Tests;

namespace Vfio.Tool.Tests;

/// <summary>The commands about this machine's own functions, on a made-up one; and the demo at an address.</summary>
public sealed class KernelCommandTests : IDisposable
{
    private readonly FakeKernel _kernel = new();

    public void Dispose() => _kernel.Dispose();

    [Fact]
    public async Task List_shows_function_driver_group_and_node()
    {
        _kernel.AddFunction(FakeKernel.Edu, "vfio-pci", 3);
        _kernel.AddFunction("0000:01:00.0", "nvme", 4, 0x1b36, 0x0010, 0x010802);
        string[] lines = (await RunAsync("list")).ShouldSucceed().Lines;
        Assert.Equal("function      id         class   driver    group  node", lines[0]);
        Assert.Equal("0000:00:04.0  1234:11e8  00ff00  vfio-pci  3      /dev/vfio/devices/vfio3", lines[1]);
        Assert.Equal("0000:01:00.0  1b36:0010  010802  nvme      4      -", lines[2]);
        JsonNode function = Assert.Single(JsonNode.Parse((await RunAsync("list", "--vfio", "--json")).ShouldSucceed().Output)!.AsArray())!;
        Assert.Equal(("1234:11e8", "vfio-pci", 3), ((string?)function["id"], (string?)function["driver"], (int)function["group"]!));
    }

    [Fact]
    public async Task Doctor_says_what_to_do_and_fails_until_it_is_done()
    {
        _kernel.AddFunction(FakeKernel.Edu, "e1000e", 3);
        ToolResult result = await RunAsync("doctor", FakeKernel.Edu);
        Assert.Equal(1, result.Status);
        Assert.Equal("VFIO2003 error: not bound to VFIO", result.Lines[0]);
        JsonNode finding = Assert.Single(JsonNode.Parse((await RunAsync("doctor", "--json", "00:04.0")).Output)!.AsArray())!;
        Assert.Equal(("VFIO2003", "error", "The driver e1000e has 0000:00:04.0."), ((string?)finding["id"], (string?)finding["severity"], (string?)finding["cause"]));
        Assert.Contains("vfio bind 0000:00:04.0", (string?)finding["fix"], StringComparison.Ordinal);

        _kernel.AddFunction(FakeKernel.Edu, "vfio-pci", 3);
        Assert.Equal("Nothing is in the way.\n", (await RunAsync("doctor", FakeKernel.Edu)).ShouldSucceed().Output);
    }

    [Fact]
    public async Task Bind_and_unbind_refuse_with_the_reason()
    {
        (await RunAsync("bind", "edu")).ShouldFail(2, "'edu' is no PCI function");
        (await RunAsync("bind", FakeKernel.Edu)).ShouldFail(1, "VFIO2009");
        _kernel.AddFunction(FakeKernel.Edu, "e1000e", 3);
        (await RunAsync("unbind", FakeKernel.Edu)).ShouldFail(1, "in the hands of e1000e");
    }

    [Fact]
    public async Task Demo_at_an_address_drives_that_device()
    {
        ToolResult result = (await ToolProcess.RunAsync("demo", "--address", "local:edu", "--interrupt", "intx")).ShouldSucceed();
        Assert.Contains("interrupts by Intx", result.Output, StringComparison.Ordinal);
        using ScratchSockets sockets = new();
        using ToolProcess server = ToolProcess.Start("serve", "edu", "--socket-path", sockets["edu"]);
        await server.WaitUntilListeningAsync();
        result = (await ToolProcess.RunAsync("demo", "--address", $"unix:{sockets["edu"]}")).ShouldSucceed();
        Assert.Contains("10! = 3628800, told by an interrupt", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Info_of_a_function_that_is_not_there_tells_how_to_find_one()
        => (await ToolProcess.RunAsync("info", "kernel:ffff:ff:1f.7")).ShouldFail(1, "VFIO2009", "vfio list");

    private Task<ToolResult> RunAsync(params string[] arguments) => ToolProcess.RunAsync([.. arguments, "--root", _kernel.Files.Root]);
}

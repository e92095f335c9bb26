using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Tests;

/// <summary>What hypervisors ask of files (spec vfio-core §12.1).</summary>
public sealed class KvmTests
{
    [Fact]
    public async Task Files_say_what_they_are()
    {
        await using CoreFixture f = new();
        RecordingDevice device = f.AddPhysical("p0");
        RecordingDevice other = f.AddPhysical("p1");
        (VfioContainer container, VfioGroupFile group, VfioDeviceFile file) = f.OpenThroughContainer(device);
        Assert.True(VfioKvm.IsVfioFile(group) && VfioKvm.IsVfioFile(file) && VfioKvm.IsVfioFile(f.Open("p1")));
        Assert.False(VfioKvm.IsVfioFile(container) || VfioKvm.IsVfioFile(f.OpenIommufd()));
        Assert.True(VfioKvm.IsGroup(group));
        Assert.False(VfioKvm.IsGroup(file));
        Assert.True(VfioKvm.HasDevice(group, device));
        Assert.False(VfioKvm.HasDevice(group, other) || VfioKvm.HasDevice(file, device));
    }

    [Fact]
    public async Task Coherency_is_enforced_when_every_device_can()
    {
        await using CoreFixture f = new();
        VfioGroupFile strict = f.OpenGroup(f.AddPhysical("a"));
        VfioGroupFile loose = f.OpenGroup(f.AddPhysical("b", hardware: new SimulatedIommu { EnforcesCoherency = false }));
        VfioGroupFile emulated = f.OpenGroup(f.Add("c"));
        Assert.True(VfioKvm.EnforcesCoherency(strict) && VfioKvm.EnforcesCoherency(f.Open("a")));
        Assert.False(VfioKvm.EnforcesCoherency(loose) || VfioKvm.EnforcesCoherency(f.Open("b")) || VfioKvm.EnforcesCoherency(emulated));
        Assert.True(VfioKvm.EnforcesCoherency(f.OpenContainer()));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Device_holds_the_machine_while_it_is_open(int way)
    {
        await using CoreFixture f = new();
        TestKvm kvm = new();
        RecordingDevice device = f.Add();
        device.Opening = () => device.Note($"kvm {kvm.References}");
        device.Closing = () => device.Note($"kvm {kvm.References}");
        VfioDeviceFile file;
        if (way == 0)
        {
            file = f.Open();
            VfioKvm.SetKvm(file, kvm);
            Assert.Equal(Errno.None, file.Bind(new IommufdContext(), out _));
        }
        else
        {
            VfioGroupFile group = f.OpenGroup(device);
            VfioKvm.SetKvm(group, kvm);
            if (way == 1)
            {
                Assert.Equal(Errno.None, group.SetContainer(f.OpenIommufd()));
            }
            else
            {
                VfioContainer container = f.OpenContainer();
                Assert.Equal(Errno.None, group.SetContainer(container));
                Assert.Equal(Errno.None, container.SetIommu(VfioUapi.VFIO_TYPE1v2_IOMMU));
            }

            file = f.OpenDevice(group, "d0");
        }

        Assert.Same(kvm, device.Kvm);
        Assert.Equal(1, kvm.References);
        file.Dispose();
        Assert.Null(device.Kvm);
        Assert.Equal(0, kvm.References);
        Assert.Equal(2, device.Calls.Count(static call => call == "kvm 1"));
    }

    [Fact]
    public async Task Machine_that_goes_away_is_not_held_and_a_failing_open_lets_go()
    {
        await using CoreFixture f = new();
        TestKvm kvm = new() { IsGoing = true };
        RecordingDevice device = f.Add();
        VfioDeviceFile file = f.Open();
        VfioKvm.SetKvm(file, kvm);
        Assert.Equal(Errno.None, file.Bind(new IommufdContext(), out _));
        Assert.Null(device.Kvm);
        file.Dispose();

        kvm.IsGoing = false;
        device.OpenResult = Errno.EIO;
        file = f.Open();
        VfioKvm.SetKvm(file, kvm);
        Assert.Equal(Errno.EIO, file.Bind(new IommufdContext(), out _));
        Assert.Equal(0, kvm.References);
        Assert.Null(device.Kvm);
    }

    private sealed class TestKvm : IKvm
    {
        public bool IsGoing { get; set; }

        public int References { get; private set; }

        public bool TryGet()
        {
            References += IsGoing ? 0 : 1;
            return !IsGoing;
        }

        public void Put() => References--;
    }
}

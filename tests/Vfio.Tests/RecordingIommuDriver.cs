using Vfio.Abi;

namespace Vfio.Tests;

/// <summary>An IOMMU driver that writes down what is asked of it and answers what the test wants.</summary>
internal sealed class RecordingIommuDriver : VfioIommuDriver
{
    public List<string> Calls { get; } = [];

    public Queue<Errno> AttachResults { get; } = [];

    public Errno OpenResult { get; set; }

    public override string Name => "recording";

    public override int CheckExtension(uint extension) => extension == 42 ? 1 : 0;

    public override Errno Open(uint type, out VfioIommu? iommu)
    {
        Calls.Add($"open {type}");
        iommu = OpenResult == Errno.None ? new Instance(this) : null;
        return OpenResult;
    }

    private sealed class Instance(RecordingIommuDriver driver) : VfioIommu
    {
        public override int CheckExtension(uint extension) => driver.CheckExtension(extension);

        public override Errno AttachGroup(VfioGroup group)
        {
            driver.Calls.Add($"attach {group.NodeName}");
            return driver.AttachResults.TryDequeue(out Errno result) ? result : Errno.None;
        }

        public override void DetachGroup(VfioGroup group) => driver.Calls.Add($"detach {group.NodeName}");

        public override void RegisterDevice(VfioDevice device)
        {
            driver.Calls.Add($"register {device.Name}");
            (device as RecordingDevice)?.Note("register");
        }

        public override void UnregisterDevice(VfioDevice device)
        {
            driver.Calls.Add($"unregister {device.Name}");
            (device as RecordingDevice)?.Note("unregister");
        }

        public override void Release() => driver.Calls.Add("release");
    }
}

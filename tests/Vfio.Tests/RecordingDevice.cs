using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Tests;

/// <summary>A device that writes down every callback and answers what the test wants.</summary>
internal sealed class RecordingDevice : VfioDevice
{
    private readonly Lock _lock = new();
    private readonly List<string> _calls = [];

    public IReadOnlyList<string> Calls
    {
        get
        {
            lock (_lock)
            {
                return [.. _calls];
            }
        }
    }

    public Errno InitializeResult { get; init; }

    public Errno OpenResult { get; set; }

    public Errno TokenResult { get; set; }

    public Errno AttachResult { get; set; }

    public Func<string, IoResult>? Matching { get; init; }

    public Action<ulong, ulong>? Unmapping { get; set; }

    public bool Pasid { get; init; }

    public bool Token { get; init; }

    public bool Pins { get; init; }

    public bool Resets { get; init; }

    public Action<CapabilityChain>? AddCapabilities { get; set; }

    public Errno RegionResult { get; set; }

    public Action? Opening { get; set; }

    public Action? Closing { get; set; }

    public Action? Requesting { get; set; }

    public IVfioMigration? MigrationOperations { get; init; }

    public IVfioDirtyLog? LogOperations { get; init; }

    public (uint Flags, ulong Size) LastFeature { get; private set; }

    protected internal override bool SupportsPasid => Pasid;

    protected internal override bool ChecksToken => Token;

    protected internal override bool CanPin => Pins;

    protected internal override IVfioMigration? Migration => MigrationOperations;

    protected internal override IVfioDirtyLog? DirtyLog => LogOperations;

    public void Note(string call) => Record(call);

    public void Forget()
    {
        lock (_lock)
        {
            _calls.Clear();
        }
    }

    protected internal override Errno OnInitialize()
    {
        Record("init");
        return InitializeResult;
    }

    protected internal override void OnRelease() => Record("release");

    protected internal override Errno BindIommufd(IommufdContext context, out uint deviceId)
    {
        Record("bind");
        return base.BindIommufd(context, out deviceId);
    }

    protected internal override void UnbindIommufd()
    {
        Record("unbind");
        base.UnbindIommufd();
    }

    protected internal override Errno AttachIoas(ref uint ptId)
    {
        Record("attach");
        return AttachResult != Errno.None ? AttachResult : base.AttachIoas(ref ptId);
    }

    protected internal override void DetachIoas()
    {
        Record("detach");
        base.DetachIoas();
    }

    protected internal override Errno PasidAttachIoas(uint pasid, ref uint ptId)
    {
        Record($"pasid_attach {pasid}");
        return Group!.Type == VfioGroupType.Iommu ? base.PasidAttachIoas(pasid, ref ptId) : Errno.None;
    }

    protected internal override void PasidDetachIoas(uint pasid)
    {
        Record($"pasid_detach {pasid}");
        base.PasidDetachIoas(pasid);
    }

    protected internal override Errno OnOpen()
    {
        Record("open");
        Opening?.Invoke();
        return OpenResult;
    }

    protected internal override void OnClose()
    {
        Record("close");
        Closing?.Invoke();
    }

    protected internal override void OnRequest(uint count)
    {
        Record($"request {count}");
        Requesting?.Invoke();
    }

    protected internal override Errno MatchToken(Guid? token)
    {
        Record($"token {token?.ToString() ?? "null"}");
        return TokenResult;
    }

    protected internal override void OnDmaUnmap(ulong iova, ulong length)
    {
        Record($"dma_unmap {iova:x} {length:x}");
        Unmapping?.Invoke(iova, length);
    }

    protected internal override IoResult Match(string name) => Matching?.Invoke(name) ?? base.Match(name);

    protected internal override IoResult Read(Span<byte> buffer, ulong position)
    {
        Record("read");
        return base.Read(buffer, position);
    }

    protected internal override IoResult Ioctl(uint command, UserArgument argument)
    {
        Record($"ioctl {command:x}");
        return Resets && command == VfioUapi.VFIO_DEVICE_RESET ? IoResult.Success() : Errno.ENOTTY;
    }

    protected internal override Errno GetRegionInfo(ref RegionInfo info, CapabilityChain capabilities)
    {
        AddCapabilities?.Invoke(capabilities);
        info.Flags = RegionFlags.Read;
        info.Size = 0x1000;
        return RegionResult;
    }

    protected internal override IoResult DeviceFeature(uint flags, UserArgument data, ulong size)
    {
        LastFeature = (flags, size);
        return IoResult.Success();
    }

    private void Record(string call)
    {
        lock (_lock)
        {
            _calls.Add(call);
        }
    }
}

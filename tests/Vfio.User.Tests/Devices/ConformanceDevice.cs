using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.User.Tests.Devices;

/// <summary>
/// The device that the conformance cases run against: control registers in BAR 0, a large BAR 1, a BAR 2 with two mappable areas, a BAR 3
/// that is mappable as a whole, 2048 MSI-X vectors in BAR 4, no BAR 5, a pin, migration, dirty logging, doorbells.
/// </summary>
public sealed class ConformanceDevice(Action<PciDeviceBuilder>? shape = null) : VfioPciDevice
{
    public const int BigBar = 2 << 20;
    public const int Vectors = 2048;
    public const ulong DoorbellOffset = 0x2000;
    private DeviceWork? _dmaWork;
    private uint _command;

    public BarMemory SparseLow { get; } = new("low", 0x1000);

    public BarMemory SparseHigh { get; } = new("high", 0x2000);

    public BarMemory Whole { get; } = new("whole", 0x2000);

    public RamBlock Ram { get; } = new(BigBar);

    public List<(ulong Offset, int Width, ulong Value)> Log { get; } = [];

    public List<ResetKind> Resets { get; } = [];

    public int Rings;

    public byte[] DmaBytes { get; } = new byte[4 << 20];

    public ulong DmaAddress { get; set; }

    public int DmaLength { get; set; }

    public Errno LastDmaError { get; private set; }

    public int DmaDone;

    public TestMigration TestMigration { get; } = new();

    public TestDirtyLog TestDirtyLog { get; } = new();

    /// <summary>Whether it has a migration that tests watch; else it has the framework's, if its shape says so.</summary>
    public bool HasMigration { get; init; } = true;

    public bool HasLog { get; init; } = true;

    public bool FunctionLevelReset { get; init; } = true;

    /// <summary>Lets the device pin, which makes its mappings page aligned.</summary>
    public bool Pins { get; init; }

    /// <summary>What it does when it is asked to give pins back.</summary>
    public Action<ulong, ulong>? Unmapping { get; set; }

    protected override bool CanPin => Pins;

    protected override IVfioMigration? Migration => HasMigration ? TestMigration : base.Migration;

    protected override IVfioDirtyLog? DirtyLog => HasLog ? TestDirtyLog : null;

    /// <summary>DMA from whatever thread a test is on.</summary>
    public Errno ReadMemory(ulong address, Span<byte> destination) => Dma.Read(address, destination);

    public void StartDma(uint command)
    {
        _command = command;
        if (command is ControlBlock.ReadInHandler or ControlBlock.WriteInHandler)
        {
            RunDma();
        }
        else
        {
            _dmaWork!.Schedule();
        }
    }

    protected override void OnDmaUnmap(ulong iova, ulong length) => Unmapping?.Invoke(iova, length);

    protected override void Configure(PciDeviceBuilder pci)
    {
        ArgumentNullException.ThrowIfNull(pci);
        pci.Id(0x1234, 0x5678).Class(0xFF, 0x00).PciExpress(FunctionLevelReset);
        if (shape is not null)
        {
            shape(pci);
        }
        else
        {
            pci.Intx()
                .Bar(0, 0x10000, PciBarKind.Memory32, false, bar => bar.Registers(0, new ControlBlock(this)))
                .Bar(1, Ram)
                .Bar(2, 0x8000, PciBarKind.Memory32, true, bar => bar.Memory(0x1000, SparseLow).Memory(0x4000, SparseHigh))
                .Bar(3, Whole, PciBarKind.Memory32)
                .Msix(Vectors, 4)
                .Vendor([1, 2, 3, 4], [0xFF, 0xFF, 0xFF, 0xFF])
                .Rom(new byte[3000])
                .Doorbell(0, DoorbellOffset, 4, _ => Interlocked.Increment(ref Rings))
                .Doorbell(0, DoorbellOffset + 8, 8, _ => Interlocked.Increment(ref Rings), dataMatch: 7);
        }

        _dmaWork = CreateWork("DMA", _ => RunDma());
    }

    protected override void OnReset(ResetKind kind) => Resets.Add(kind);

    /// <summary>The memory is the device's only when it was declared.</summary>
    protected override void OnDisposed()
    {
        SparseLow.Dispose();
        SparseHigh.Dispose();
        Whole.Dispose();
    }

    private void RunDma()
    {
        Span<byte> bytes = DmaBytes.AsSpan(0, DmaLength);
        bool read = _command is ControlBlock.ReadInHandler or ControlBlock.ReadInWork;
        LastDmaError = read ? Dma.Read(DmaAddress, bytes) : Dma.Write(DmaAddress, bytes);
        if (!read && LastDmaError == Errno.None)
        {
            TestDirtyLog.Mark(DmaAddress, (ulong)DmaLength);
        }

        Interlocked.Increment(ref DmaDone);
    }
}

using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Drivers.Nvme.Tests;

/// <summary>
/// A controller that does what a test says: by default right as far as the driver asks, and wrong wherever a test wants it. Not a model of a
/// controller: it checks nothing.
/// </summary>
internal sealed partial class FakeNvmeDevice : VfioPciDevice
{
    public const int BlockSize = 512;
    public const int Blocks = 8192;
    private const int MaximumQueues = 5;
    private readonly Queue[] _queues = new Queue[MaximumQueues];
    private readonly byte[] _scratch = new byte[2 << 20];
    private readonly ulong[] _list = new ulong[512];
    private DeviceWork? _work;
    private ulong _asq;
    private ulong _acq;
    private uint _aqa;
    private ulong _shadow;
    private ulong _eventIndex;
    private bool _isBusy;
    private bool _isStopping;

    public byte[] Storage { get; } = new byte[Blocks * BlockSize];

    public byte[] ControllerPage { get; } = DefaultController();

    public byte[] NamespacePage { get; } = DefaultNamespace();

    public byte[] DescriptorPage { get; } = new byte[4096];

    public byte[] LogPage { get; } = new byte[4096];

    /// <summary>The active namespace list's pages, by the identifier that they are asked for.</summary>
    public Func<uint, uint[]> Namespaces { get; set; } = static after => after == 0 ? [1] : [];

    /// <summary>1024 entries, contiguous, 1 s, stride 4, NVM command set, pages of 4 KiB.</summary>
    public ulong Capabilities { get; set; } = 1023 | 1UL << 16 | 2UL << 24 | 1UL << 37;

    public uint Configuration { get; private set; }

    public uint Status { get; set; }

    public int MsixVectors { get; init; } = MaximumQueues;

    public int MsiVectors { get; init; }

    /// <summary>Registers read all ones and nothing is answered.</summary>
    public bool IsGone { get; set; }

    /// <summary>Completions of I/O queues come without interrupt.</summary>
    public bool LosesInterrupts { get; init; }

    public bool NeverReady { get; set; }

    public bool StaysReady { get; set; }

    /// <summary>What Set Features answers to a wish for queues; null for what was wished.</summary>
    public uint? GrantedQueues { get; set; }

    /// <summary>Looks at every command before it is carried out: queue, command, the answer to come. False: it is not carried out.</summary>
    public CommandHook? Hook { get; set; }

    /// <summary>Runs in place of all that a doorbell would cause.</summary>
    public Action<int>? DoorbellHook { get; set; }

    public int Enables { get; private set; }

    public int Shutdowns { get; private set; }

    public int DeletedQueues { get; private set; }

    /// <summary>The highest number of commands found at one look at a queue.</summary>
    public int MostAtOnce { get; private set; }

    public int SglCommands { get; private set; }

    /// <summary>Writes of doorbell registers of I/O queues.</summary>
    public int Rings { get; private set; }

    public delegate bool CommandHook(int queue, ref SubmissionEntry command, ref FakeCompletion completion);

    public void WriteRegister(ulong offset, uint value)
    {
        switch (offset)
        {
            case ControllerRegister.AdminQueueAttributes:
                _aqa = value;
                break;
            case ControllerRegister.AdminSubmissionQueue:
                _asq = (_asq & ~0xFFFFFFFFUL) | value;
                break;
            case ControllerRegister.AdminSubmissionQueue + 4:
                _asq = (uint)_asq | ((ulong)value << 32);
                break;
            case ControllerRegister.AdminCompletionQueue:
                _acq = (_acq & ~0xFFFFFFFFUL) | value;
                break;
            case ControllerRegister.AdminCompletionQueue + 4:
                _acq = (uint)_acq | ((ulong)value << 32);
                break;
            case ControllerRegister.Configuration:
                Configure(value);
                break;
            case >= ControllerRegister.Doorbells:
                RingDoorbell((int)(offset - ControllerRegister.Doorbells) / 4, (ushort)value);
                break;
        }
    }

    /// <summary>Writes a completion of a test's own making.</summary>
    public void Complete(int queue, in FakeCompletion completion)
    {
        for (int i = 0; i < completion.Times; i++)
        {
            ref Queue at = ref _queues[queue];
            Span<uint> entry = [completion.Result, 0, completion.Head | (uint)completion.QueueId << 16, completion.CommandId | (uint)completion.Status << 17 | (at.Phase ? 1u << 16 : 0)];
            _ = Dma.Write(at.CompletionIova + ((ulong)at.CompletionTail * 16), System.Runtime.InteropServices.MemoryMarshal.AsBytes(entry));
            at.CompletionTail++;
            if (at.CompletionTail == at.CompletionSize)
            {
                at.CompletionTail = 0;
                at.Phase = !at.Phase;
            }
        }

        if (_queues[queue].Vector >= 0 && !(LosesInterrupts && queue > 0))
        {
            Signal(_queues[queue].Vector);
        }
    }

    protected override void Configure(PciDeviceBuilder pci)
    {
        ArgumentNullException.ThrowIfNull(pci);
        pci.Id(0x1234, 0x0010).Class(0x01, 0x08, 0x02).Intx().Bar(0, 0x4000, PciBarKind.Memory64, false, bar => bar.Registers(0, new FakeNvmeRegisters(this)));
        if (MsixVectors > 0)
        {
            pci.Msix(MsixVectors, 0, 0x2000, 0x3000);
        }

        if (MsiVectors > 0)
        {
            pci.Msi(MsiVectors);
        }

        _work = CreateWork("queues", Work);
    }

    private void Configure(uint value)
    {
        uint before = Configuration;
        Configuration = value;
        if ((value & ControllerRegister.ConfigurationEnable) == 0)
        {
            // It stays ready until the command at work is over: afterwards nothing touches memory any more.
            _isStopping = _isBusy;
            Status = StaysReady || _isBusy ? Status : 0;
            Array.Clear(_queues);
            _shadow = 0;
        }
        else if ((before & ControllerRegister.ConfigurationEnable) == 0)
        {
            Enables++;
            Status = NeverReady ? 0u : ControllerRegister.StatusReady;
            _queues[0] = new Queue
            {
                SubmissionIova = _asq,
                SubmissionSize = (int)(_aqa & 0xFFF) + 1,
                CompletionIova = _acq,
                CompletionSize = (int)(_aqa >> 16 & 0xFFF) + 1,
                Phase = true,
            };
        }

        if ((value & ControllerRegister.ConfigurationShutdownMask) != 0)
        {
            Shutdowns++;
            Status |= ControllerRegister.StatusShutdownComplete;
        }
    }

    private void RingDoorbell(int index, ushort value)
    {
        if (index / 2 >= MaximumQueues)
        {
            return;
        }

        Rings += index / 2 > 0 ? 1 : 0;
        if (index % 2 == 1)
        {
            // The line falls with the last completion taken.
            _queues[index / 2].CompletionHead = value;
            if (!Interrupts.UsesMessages && Array.TrueForAll(_queues, static queue => queue.CompletionHead == queue.CompletionTail))
            {
                Interrupts.SetIntx(false);
            }

            return;
        }

        _queues[index / 2].SubmissionTail = value;
        if (DoorbellHook is { } hook)
        {
            hook(index / 2);
            return;
        }

        _work!.Schedule();
    }

    private void Signal(int vector)
    {
        lock (StateLock)
        {
            if (Interrupts.UsesMessages)
            {
                Interrupts.Signal(vector);
            }
            else
            {
                Interrupts.SetIntx(true);
            }
        }
    }

    private struct Queue
    {
        public ulong SubmissionIova;
        public int SubmissionSize;
        public int SubmissionHead;
        public int SubmissionTail;
        public ulong CompletionIova;
        public int CompletionSize;
        public int CompletionHead;
        public int CompletionTail;
        public bool Phase;
        public int Vector;
    }
}

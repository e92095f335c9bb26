using System.Buffers.Binary;
using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests.Migration;

/// <summary>
/// A host that writes blocks and reads them back, some commands at a time, on a thread of its own, and compares all it reads with what it wrote last.
/// It can be stopped between two of its instructions, with commands outstanding, and goes on with another controller.
/// </summary>
internal sealed class IoLoad
{
    private const int Depth = 8;
    private const int Length = 4096;
    private const int BlocksOfLength = Length / 512;
    private const int PlacesOfLane = 32;

    /// <summary>Held while the host's processors run.</summary>
    private readonly Lock _processors = new();
    private readonly Dictionary<ushort, int> _lanes = [];
    private readonly Lane[] _work = [.. Enumerable.Range(0, Depth).Select(static _ => new Lane())];
    private readonly Random _random = new(17);
    private readonly Task _run;
    private NvmeRig _rig;
    private RawQueue _queue;
    private DmaBuffer _reads;
    private volatile bool _ends;

    public IoLoad(NvmeRig rig, RawQueue queue)
    {
        _rig = rig;
        _queue = queue;
        _reads = rig.Allocate(Depth * Length);
        _run = Task.Run(Run);
    }

    /// <summary>Commands that were completed and found right.</summary>
    public long Done { get; private set; }

    /// <summary>What is read into, which only the device writes.</summary>
    public DmaBuffer Reads => _reads;

    /// <summary>How many commands were outstanding when it was stopped.</summary>
    public int Outstanding => _lanes.Count;

    /// <summary>Stops the processors while something is done, for which commands are outstanding.</summary>
    public void WhileStopped(Action action)
    {
        while (true)
        {
            lock (_processors)
            {
                // Not before commands are on their way.
                if (_lanes.Count >= Depth / 2)
                {
                    action();
                    return;
                }
            }

            Thread.Yield();
        }
    }

    /// <summary>Goes on with another controller. The processors are stopped.</summary>
    public void MoveTo(NvmeRig rig)
    {
        _queue = _queue.On(rig, _rig);
        _reads = rig.Like(_reads);
        _rig = rig;
    }

    public void AwaitDone(long count)
        => NvmeRig.WaitFor(() => Done >= count || _run.IsCompleted, $"only {Done} of {count} commands were done");

    /// <summary>Ends, and throws what went wrong.</summary>
    public async Task EndAsync()
    {
        _ends = true;
        await _run;
    }

    private static void Fill(Span<byte> block, int lane, int place, uint version)
    {
        for (int at = 0; at < block.Length; at += 16)
        {
            BinaryPrimitives.WriteInt32LittleEndian(block[at..], lane);
            BinaryPrimitives.WriteInt32LittleEndian(block[(at + 4)..], place);
            BinaryPrimitives.WriteUInt32LittleEndian(block[(at + 8)..], version);
            BinaryPrimitives.WriteInt32LittleEndian(block[(at + 12)..], at);
        }
    }

    private void Run()
    {
        while (!_ends || _lanes.Count != 0)
        {
            lock (_processors)
            {
                if (!_ends)
                {
                    Submit();
                }

                while (_queue.TryTake(out RawCompletion completion))
                {
                    Check(completion);
                }
            }
        }
    }

    private void Submit()
    {
        bool rings = false;
        for (int i = 0; i < Depth; i++)
        {
            Lane lane = _work[i];
            if (lane.IsBusy)
            {
                continue;
            }

            lane.IsBusy = true;
            lane.Place = _random.Next(PlacesOfLane);
            lane.Writes = _random.Next(2) == 0;
            ulong block = (ulong)(((lane.Place * Depth) + i) * BlocksOfLength);
            if (lane.Writes)
            {
                Fill(_rig.Data.Slice((nuint)(i * Length), Length), i, lane.Place, lane.Versions[lane.Place] + 1);
            }

            RawCommand command = _rig.Transfer(lane.Writes ? (byte)0x01 : (byte)0x02, block, BlocksOfLength, offset: i * Length);
            if (!lane.Writes)
            {
                command.Prp1 = _reads.Iova + (ulong)(i * Length);
            }

            _lanes.Add(_queue.Put(command), i);
            rings = true;
        }

        if (rings)
        {
            _queue.Ring();
        }
    }

    private void Check(RawCompletion completion)
    {
        Assert.Equal(0, completion.Status);
        Assert.True(_lanes.Remove(completion.Cid, out int i), $"command {completion.Cid} was completed twice, or never given");
        Lane lane = _work[i];
        lane.IsBusy = false;
        Done++;
        if (lane.Writes)
        {
            lane.Versions[lane.Place]++;
            return;
        }

        Span<byte> expected = stackalloc byte[Length];
        if (lane.Versions[lane.Place] != 0)
        {
            Fill(expected, i, lane.Place, lane.Versions[lane.Place]);
        }
        else
        {
            expected.Clear();
        }

        Assert.True(expected.SequenceEqual(_reads.Slice((nuint)(i * Length), Length)), $"lane {i} reads something else at {lane.Place}");
    }

    private sealed class Lane
    {
        public bool IsBusy { get; set; }

        public bool Writes { get; set; }

        public int Place { get; set; }

        public uint[] Versions { get; } = new uint[PlacesOfLane];
    }
}

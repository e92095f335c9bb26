namespace Vfio.Drivers.Nvme;

/// <summary>A command in flight: the part of its request that it carries, from which it can be built again after a reset.</summary>
internal struct CommandSlot
{
    /// <summary>The request, or null when the slot is free.</summary>
    public NvmeRequest? Request;

    public ulong Block;
    public uint Blocks;
    public ulong Iova;

    /// <summary>When it was sent, by the watchdog's clock.</summary>
    public int Tick;

    /// <summary>Changes with each use, so that a late or repeated completion is not taken for the next command's.</summary>
    public ushort Generation;

    /// <summary>How many resets it went through.</summary>
    public byte Replays;

    /// <summary>Whether it was late already and the controller was asked to abort it.</summary>
    public bool AbortSent;
}

namespace Vfio.Drivers.Nvme.Tests;

/// <summary>What the fake answers to a command: the right thing, unless a test changed it.</summary>
internal struct FakeCompletion
{
    public uint Result;

    /// <summary>The status field without the phase tag.</summary>
    public ushort Status;

    public ushort CommandId;
    public ushort QueueId;
    public ushort Head;

    /// <summary>How often it is written; 0: never.</summary>
    public int Times;
}

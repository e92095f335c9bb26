namespace Vfio.Devices.Ioat;

/// <summary>What a channel does: bits 2:0 of CHANSTS.</summary>
internal enum ChannelState : byte
{
    Active = 0,
    Done = 1,
    Suspended = 2,
    Halted = 3,
    Armed = 4,
}

namespace Vfio.Devices.Ioat;

/// <summary>The bits of CHANCMD.</summary>
[Flags]
internal enum ChannelCommands : byte
{
    None = 0,
    Suspend = 1 << 2,
    Resume = 1 << 4,
    Reset = 1 << 5,
}

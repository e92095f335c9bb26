namespace Vfio.Devices.Ioat;

/// <summary>The bits of CHANERR that the model sets.</summary>
[Flags]
internal enum ChannelErrors : uint
{
    None = 0,
    NextDescriptorAddress = 1 << 2,
    ChainAddress = 1 << 4,
    Command = 1 << 5,
    ReadData = 1 << 8,
    WriteData = 1 << 9,
    DescriptorControl = 1 << 10,
    DescriptorLength = 1 << 11,
    CompletionAddress = 1 << 12,
}

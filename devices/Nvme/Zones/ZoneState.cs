namespace Vfio.Devices.Nvme;

/// <summary>States of a zone (ZNS Command Set 1.1 §2.1.1.2.1, as Zone State of a descriptor has them).</summary>
internal enum ZoneState : byte
{
    Empty = 0x1,
    ImplicitlyOpened = 0x2,
    ExplicitlyOpened = 0x3,
    Closed = 0x4,
    ReadOnly = 0xD,
    Full = 0xE,
    Offline = 0xF,
}

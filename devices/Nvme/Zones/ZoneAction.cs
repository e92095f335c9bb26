namespace Vfio.Devices.Nvme;

/// <summary>What Zone Management Send does to zones (ZSA; ZNS Command Set 1.1 §3.4.3).</summary>
internal enum ZoneAction : byte
{
    Close = 0x01,
    Finish = 0x02,
    Open = 0x03,
    Reset = 0x04,
    Offline = 0x05,
}

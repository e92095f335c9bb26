namespace Vfio;

/// <summary>Offsets in the type 0 configuration header (PCI 3.0 §6.1).</summary>
public static class PciRegister
{
    /// <summary>Vendor id, 16 bits.</summary>
    public const int VendorId = 0x00;

    /// <summary>Device id, 16 bits.</summary>
    public const int DeviceId = 0x02;

    /// <summary>Command, 16 bits.</summary>
    public const int Command = 0x04;

    /// <summary>Status, 16 bits.</summary>
    public const int Status = 0x06;

    /// <summary>Revision id, 8 bits.</summary>
    public const int Revision = 0x08;

    /// <summary>Class code: programming interface, subclass, base class, 8 bits each.</summary>
    public const int ClassCode = 0x09;

    /// <summary>Cache line size, 8 bits.</summary>
    public const int CacheLine = 0x0C;

    /// <summary>Latency timer, 8 bits.</summary>
    public const int Latency = 0x0D;

    /// <summary>Header type, 8 bits.</summary>
    public const int HeaderType = 0x0E;

    /// <summary>First base address register; six of 32 bits.</summary>
    public const int Bar0 = 0x10;

    /// <summary>Subsystem vendor id, 16 bits.</summary>
    public const int SubsystemVendorId = 0x2C;

    /// <summary>Subsystem id, 16 bits.</summary>
    public const int SubsystemId = 0x2E;

    /// <summary>Expansion ROM base address, 32 bits.</summary>
    public const int RomBar = 0x30;

    /// <summary>Offset of the first capability, 8 bits.</summary>
    public const int CapabilityPointer = 0x34;

    /// <summary>Interrupt line, 8 bits.</summary>
    public const int InterruptLine = 0x3C;

    /// <summary>Interrupt pin, 8 bits.</summary>
    public const int InterruptPin = 0x3D;
}

namespace Vfio.Devices.Igb;

/// <summary>The internal PHY behind MDIC: the registers of IEEE 802.3 clause 22 and those of the family that drivers look at. Negotiation takes no time.</summary>
/// <param name="device">The device.</param>
internal sealed class IgbPhy(IgbDevice device)
{
    public const int Registers = 32;
    private const uint OperationWrite = 1U << 26;
    private const uint OperationRead = 1U << 27;
    private const uint Ready = 1U << 28;
    private const uint Error = 1U << 30;
    private const int Control = 0;
    private const int Status = 1;
    private const int PageSelect = 31;
    private const ushort Restart = 0x0200;
    private const ushort PowerDown = 0x0800;
    private const ushort Loopback = 0x4000;
    private const ushort ResetBit = 0x8000;
    private readonly ushort[] _content = new ushort[Registers];

    /// <summary>Whether what is sent comes back from the PHY.</summary>
    public bool IsLooping => (_content[Control] & Loopback) != 0;

    public bool IsPoweredDown => (_content[Control] & PowerDown) != 0;

    /// <summary>The registers, to be saved.</summary>
    public Span<ushort> Content => _content;

    public void Reset()
    {
        Array.Clear(_content);
        _content[Control] = 0x1140;
        _content[4] = 0x0DE1;
        _content[9] = 0x0300;
    }

    /// <summary>Does what was written to MDIC.</summary>
    /// <returns>MDIC's new content.</returns>
    public uint Access(uint value)
    {
        uint content = value & ~(Ready | Error);
        int register = (int)(value >> 16) & 0x1F;
        if (((value >> 21) & 0x1F) != 1)
        {
            // Nobody else is on the bus.
            return (content | 0xFFFF) | Ready | ((value & OperationRead) != 0 ? Error : 0);
        }

        if ((value & OperationRead) != 0)
        {
            content = (content & ~0xFFFFU) | Read(register);
        }
        else if ((value & OperationWrite) != 0)
        {
            Write(register, (ushort)value);
        }

        return content | Ready;
    }

    private ushort Read(int register)
    {
        bool isUp = device.IsLinkUp;
        return register switch
        {
            // All speeds, extended status; negotiation is complete while the link is up.
            Status => (ushort)(0x7949 | (isUp ? 0x0024 : 0)),
            2 => 0x02A8,
            3 => 0x0391,

            // The partner can do everything, without pause.
            5 => (ushort)(isUp ? 0x41E1 : 0),
            6 => (ushort)(isUp ? 0x000F : 0x0004),
            10 => (ushort)(isUp ? 0x3C00 : 0),
            15 => 0x3000,

            // The port's state, and on other pages how far each pair's gain is turned up: some ten metres.
            17 when _content[PageSelect] is 0x11B1 or 0x12B1 or 0x14B1 or 0x18B1 => 10 << 9,
            17 => (ushort)(isUp ? 0xC404 : 0),
            _ => _content[register],
        };
    }

    private void Write(int register, ushort value)
    {
        if (register is Status or 2 or 3 or 5 or 6 or 10 or 15 or 17)
        {
            return;
        }

        bool wasUp = device.IsLinkUp;
        bool renegotiates = false;
        if (register == Control)
        {
            renegotiates = (value & (Restart | ResetBit)) != 0;
            if ((value & ResetBit) != 0)
            {
                Reset();
            }
            else
            {
                _content[Control] = (ushort)(value & ~Restart);
            }
        }
        else
        {
            _content[register] = value;
        }

        if (renegotiates || device.IsLinkUp != wasUp)
        {
            device.LinkChanged();
        }
    }
}

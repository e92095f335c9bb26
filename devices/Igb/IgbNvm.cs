using System.Buffers.Binary;

namespace Vfio.Devices.Igb;

/// <summary>The NVM: 1024 words behind EERD and EEWR. The bits of a serial EEPROM in EECD are not modelled. Survives resets, as an EEPROM does.</summary>
internal sealed class IgbNvm
{
    private const uint Start = 1;
    private const uint Done = 2;
    private const uint Request = 0x40;
    private const uint Grant = 0x80;

    /// <summary>Present, read, 1024 words.</summary>
    private const uint State = 0x100 | 0x200 | (4 << 11);
    private readonly ushort[] _words = new ushort[1024];

    /// <param name="address">The MAC address, whose lowest byte is sent first.</param>
    public IgbNvm(ulong address)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, address);
        Array.Fill(_words, (ushort)0xFFFF, 0x40, _words.Length - 0x40);
        for (int i = 0; i < 3; i++)
        {
            _words[i] = BinaryPrimitives.ReadUInt16LittleEndian(bytes[(2 * i)..]);
        }

        // LED settings, version, part number, ids, control words, no alternate address.
        _words[0x04] = 0x0C0C;
        _words[0x05] = 0x1000;
        _words[0x08] = 0x0001;
        _words[0x09] = 0x0000;
        _words[0x0A] = 0x4000;
        _words[0x0B] = IgbDevice.SubsystemId;
        _words[0x0C] = 0x8086;
        _words[0x0D] = IgbDevice.DeviceId;
        _words[0x0E] = 0x8086;
        _words[0x0F] = 0x3000;
        _words[0x24] = 0x0000;
        _words[0x37] = 0xFFFF;
        ushort sum = 0;
        for (int i = 0; i < 0x3F; i++)
        {
            sum += _words[i];
        }

        _words[0x3F] = (ushort)(0xBABA - sum);
    }

    public uint ReadControl(uint content)
        => (content & (Request | 0xF)) | State | ((content & Request) != 0 ? Grant : 0);

    public uint Read(uint value)
    {
        if ((value & Start) == 0)
        {
            return value;
        }

        uint word = (value >> 2) & 0x3FFF;
        return (word << 2) | Done | ((uint)(word < _words.Length ? _words[word] : 0xFFFF) << 16);
    }

    public uint Write(uint value)
    {
        uint word = (value >> 2) & 0x3FFF;
        if ((value & Start) != 0 && word < _words.Length)
        {
            _words[word] = (ushort)(value >> 16);
        }

        return (value & ~Start) | Done;
    }
}

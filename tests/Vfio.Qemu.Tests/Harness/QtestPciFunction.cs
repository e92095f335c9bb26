using System.Numerics;

namespace Vfio.Qemu.Tests.Harness;

/// <summary>A PCI function as firmware and a driver see it: configuration space, BARs, capabilities, MSI and MSI-X.</summary>
public sealed class QtestPciFunction
{
    private const int CommandRegister = 0x04;
    private const int StatusRegister = 0x06;
    private const int FirstBar = 0x10;
    private const int CapabilityPointer = 0x34;
    private const ushort StatusHasCapabilities = 0x10;
    private const ushort CommandPort = 1;
    private const ushort CommandMemory = 2;
    private const ushort CommandBusMaster = 4;

    /// <summary>Capability ids (PCI 3.0 appendix H).</summary>
    private const byte MsiCapability = 0x05;
    private const byte MsixCapability = 0x11;

    private readonly QtestMachine _machine;
    private readonly ulong _config;
    private readonly QtestBar?[] _bars = new QtestBar?[6];

    internal QtestPciFunction(QtestMachine machine, int slot, int function)
    {
        _machine = machine;
        _config = QtestMachine.EcamBase + ((ulong)slot << 15) + ((ulong)function << 12);
    }

    /// <summary>The vendor id; 0xFFFF when there is no such function.</summary>
    public ushort VendorId => ReadConfig16(0);

    public ushort DeviceId => ReadConfig16(2);

    /// <summary>The BARs that <see cref="Enable"/> found.</summary>
    public IReadOnlyList<QtestBar?> Bars => _bars;

    public byte ReadConfig8(int offset) => _machine.Read8(_config + (ulong)offset);

    public ushort ReadConfig16(int offset) => _machine.Read16(_config + (ulong)offset);

    public uint ReadConfig32(int offset) => _machine.Read32(_config + (ulong)offset);

    public void WriteConfig8(int offset, byte value) => _machine.Write8(_config + (ulong)offset, value);

    public void WriteConfig16(int offset, ushort value) => _machine.Write16(_config + (ulong)offset, value);

    public void WriteConfig32(int offset, uint value) => _machine.Write32(_config + (ulong)offset, value);

    /// <summary>All of configuration space, 256 or 4096 bytes.</summary>
    public byte[] ReadConfig(int length)
    {
        byte[] bytes = new byte[length];
        for (int offset = 0; offset < length; offset += 4)
        {
            BitConverter.TryWriteBytes(bytes.AsSpan(offset), ReadConfig32(offset));
        }

        return bytes;
    }

    /// <summary>Sizes the BARs, gives them addresses, and switches on decoding and bus mastering, as firmware does.</summary>
    public void Enable()
    {
        for (int index = 0; index < _bars.Length; index++)
        {
            QtestBar? bar = Assign(index);
            _bars[index] = bar;
            if (bar is { Is64Bit: true })
            {
                index++;
            }
        }

        WriteConfig16(
            CommandRegister,
            (ushort)(ReadConfig16(CommandRegister) | CommandPort | CommandMemory | CommandBusMaster));
    }

    public byte ReadBar8(int bar, ulong offset) =>
        Bar(bar) is { IsPort: true } b ? _machine.In8(Port(b, offset)) : _machine.Read8(Bar(bar).Address + offset);

    public ushort ReadBar16(int bar, ulong offset) =>
        Bar(bar) is { IsPort: true } b ? _machine.In16(Port(b, offset)) : _machine.Read16(Bar(bar).Address + offset);

    public uint ReadBar32(int bar, ulong offset) =>
        Bar(bar) is { IsPort: true } b ? _machine.In32(Port(b, offset)) : _machine.Read32(Bar(bar).Address + offset);

    public ulong ReadBar64(int bar, ulong offset) => _machine.Read64(Bar(bar).Address + offset);

    public void WriteBar8(int bar, ulong offset, byte value)
    {
        if (Bar(bar) is { IsPort: true } b)
        {
            _machine.Out8(Port(b, offset), value);
        }
        else
        {
            _machine.Write8(Bar(bar).Address + offset, value);
        }
    }

    public void WriteBar16(int bar, ulong offset, ushort value)
    {
        if (Bar(bar) is { IsPort: true } b)
        {
            _machine.Out16(Port(b, offset), value);
        }
        else
        {
            _machine.Write16(Bar(bar).Address + offset, value);
        }
    }

    public void WriteBar32(int bar, ulong offset, uint value)
    {
        if (Bar(bar) is { IsPort: true } b)
        {
            _machine.Out32(Port(b, offset), value);
        }
        else
        {
            _machine.Write32(Bar(bar).Address + offset, value);
        }
    }

    public void WriteBar64(int bar, ulong offset, ulong value) => _machine.Write64(Bar(bar).Address + offset, value);

    /// <summary>The offset of a capability of the standard list, or 0 when the function has none of this id.</summary>
    public int FindCapability(byte id)
    {
        if ((ReadConfig16(StatusRegister) & StatusHasCapabilities) == 0)
        {
            return 0;
        }

        int position = ReadConfig8(CapabilityPointer) & ~3;
        for (int count = 0; position != 0 && count < 48; count++)
        {
            if (ReadConfig8(position) == id)
            {
                return position;
            }

            position = ReadConfig8(position + 1) & ~3;
        }

        return 0;
    }

    /// <summary>
    /// Lets the function's MSI (its first vector) write <paramref name="data"/> to <paramref name="address"/>. Give an
    /// address in RAM, and the test sees the message as a write there.
    /// </summary>
    public void EnableMsi(ulong address, ushort data)
    {
        int position = Require(MsiCapability, "MSI");
        ushort control = ReadConfig16(position + 2);
        bool is64 = (control & 0x80) != 0;
        WriteConfig32(position + 4, (uint)address);
        if (is64)
        {
            WriteConfig32(position + 8, (uint)(address >> 32));
        }

        WriteConfig16(position + (is64 ? 12 : 8), data);
        WriteConfig16(position + 2, (ushort)((control & ~0x70) | 1));
    }

    /// <summary>Sets the MSI-X table entry of a vector and unmasks it; see <see cref="EnableMsi"/> for the address.</summary>
    public void SetMsixVector(int vector, ulong address, uint data)
    {
        (int bar, ulong offset) = MsixTable();
        ulong entry = offset + ((ulong)vector * 16);
        WriteBar32(bar, entry, (uint)address);
        WriteBar32(bar, entry + 4, (uint)(address >> 32));
        WriteBar32(bar, entry + 8, data);
        WriteBar32(bar, entry + 12, 0);
    }

    /// <summary>Masks or unmasks one MSI-X vector.</summary>
    public void MaskMsixVector(int vector, bool masked)
    {
        (int bar, ulong offset) = MsixTable();
        WriteBar32(bar, offset + ((ulong)vector * 16) + 12, masked ? 1u : 0u);
    }

    /// <summary>Switches MSI-X on, with or without the function mask.</summary>
    public void EnableMsix(bool functionMask = false)
    {
        int position = Require(MsixCapability, "MSI-X");
        int control = ReadConfig16(position + 2) & 0x3FFF;
        WriteConfig16(position + 2, (ushort)(control | 0x8000 | (functionMask ? 0x4000 : 0)));
    }

    private static ushort Port(QtestBar bar, ulong offset) => checked((ushort)(bar.Address + offset));

    private QtestBar Bar(int index) =>
        _bars[index] ?? throw new QemuException($"BAR {index} has no address: the function has none, or Enable was not called");

    private int Require(byte id, string name) =>
        FindCapability(id) is int position and not 0
            ? position
            : throw new QemuException($"the function has no {name} capability");

    private (int Bar, ulong Offset) MsixTable()
    {
        uint table = ReadConfig32(Require(MsixCapability, "MSI-X") + 4);
        return ((int)(table & 7), table & ~7u);
    }

    private QtestBar? Assign(int index)
    {
        int register = FirstBar + (index * 4);
        WriteConfig32(register, uint.MaxValue);
        uint low = ReadConfig32(register);
        if (low == 0)
        {
            return null;
        }

        bool isPort = (low & 1) != 0;
        bool is64 = !isPort && (low & 6) == 4;
        ulong mask = isPort ? 0xFFFF_FFFF_FFFF_0000 | (low & ~3u) : 0xFFFF_FFFF_0000_0000 | (low & ~0xFu);
        if (is64)
        {
            WriteConfig32(register + 4, uint.MaxValue);
            mask = ((ulong)ReadConfig32(register + 4) << 32) | (low & ~0xFu);
        }

        ulong size = 1UL << BitOperations.TrailingZeroCount(mask);
        ulong address = _machine.AllocateBar(size, isPort);
        WriteConfig32(register, (uint)address);
        if (is64)
        {
            WriteConfig32(register + 4, (uint)(address >> 32));
        }

        return new QtestBar(index, address, size, isPort, is64, !isPort && (low & 8) != 0);
    }
}

namespace Vfio.Pci.Generators.Tests;

/// <summary>The first 0x38 bytes of <see cref="ModesRegisters"/>, bit by bit and without hurry.</summary>
internal sealed class NaiveModes
{
    private readonly Dictionary<ulong, (int Width, string Modes, int Widths, bool Whole, ulong Value)> _registers = new()
    {
        // A letter a bit from the lowest: r read-only, w read-write, o write-only, c s t write one to clear, set, toggle, e read to clear, 0 none.
        [0x00] = (4, new string('r', 32), 4, false, 0xCAFE),
        [0x04] = (4, new string('w', 32), 7, false, 0x11223344),
        [0x08] = (4, new string('o', 32), 7, false, 0),
        [0x0C] = (4, new string('c', 32), 5, false, 0),
        [0x10] = (2, new string('s', 16), 2, false, 0),
        [0x12] = (2, new string('t', 16), 2, false, 0),
        [0x14] = (4, new string('e', 32), 5, false, 0),
        [0x18] = (8, new string('w', 64), 12, false, 0),
        [0x20] = (8, new string('w', 64), 12, true, 0),
        [0x28] = (4, new string('u', 32), 4, false, 0x5A),
        [0x2C] = (1, new string('w', 8), 1, false, 0),
        [0x30] = (4, "w000www0csteo000rrrrrrrr00000000", 6, false, 0x70020),
    };

    public AccessResult Read(ulong offset, int width, out ulong value)
    {
        value = 0;
        AccessResult result = Locate(offset, width, out ulong start);
        if (result != AccessResult.Ok)
        {
            return result;
        }

        var register = _registers[start];
        if (register.Modes.All(static mode => mode is 'o'))
        {
            return AccessResult.WriteOnly;
        }

        int first = (int)(offset - start) * 8;
        for (int i = 0; i < width * 8; i++)
        {
            ulong bit = 1UL << (first + i);
            char mode = register.Modes[first + i];
            if ((register.Value & bit) != 0 && mode is not ('o' or '0'))
            {
                value |= 1UL << i;
            }

            register.Value &= mode == 'e' ? ~bit : ulong.MaxValue;
        }

        _registers[start] = register;
        return AccessResult.Ok;
    }

    public AccessResult Write(ulong offset, int width, ulong value)
    {
        AccessResult result = Locate(offset, width, out ulong start);
        if (result != AccessResult.Ok)
        {
            return result;
        }

        var register = _registers[start];
        if (register.Modes.All(static mode => mode is 'r' or 'e'))
        {
            return AccessResult.ReadOnly;
        }

        int first = (int)(offset - start) * 8;
        for (int i = 0; i < register.Width * 8; i++)
        {
            bool isWritten = i >= first && i < first + (width * 8);
            bool one = isWritten && (value >> (i - first) & 1) != 0;
            bool old = (register.Value >> i & 1) != 0;
            bool now = register.Modes[i] switch
            {
                'w' => isWritten || register.Whole ? one : old,
                'o' => one,
                'c' => old && !one,
                's' => old || one,
                't' => old ^ one,
                _ => old,
            };
            register.Value = (register.Value & ~(1UL << i)) | (now ? 1UL << i : 0);
        }

        _registers[start] = register;
        return AccessResult.Ok;
    }

    private AccessResult Locate(ulong offset, int width, out ulong start)
    {
        start = 0;
        foreach ((ulong at, var register) in _registers)
        {
            if (offset >= at && offset < at + (ulong)register.Width)
            {
                start = at;
                return (register.Widths & width) == 0 ? AccessResult.InvalidAccessSize : register.Whole && offset != at ? AccessResult.InvalidRegister : AccessResult.Ok;
            }
        }

        return AccessResult.InvalidRegister;
    }
}

using System.Buffers;
using System.Buffers.Binary;

namespace Vfio.Pci;

/// <summary>The saved form of a register file.</summary>
/// <remarks>
/// All numbers are little-endian. A header of 8 bytes: u16 form (1), u16 version of the register file, u32 bytes in all. Then for each register
/// that the version has, in the order of the offsets: u32 offset, u8 width, u24 count, and the values of that width. So a state tells
/// what it is of, and a reader knows at each point what must follow.
/// </remarks>
internal static class RegisterState
{
    private const ushort Form = 1;
    private const int HeaderLength = 8;
    private const int RecordLength = 8;

    public static void Save(RegisterFile file, IBufferWriter<byte> writer)
    {
        int length = Length(file, file.StateVersion);
        Span<byte> target = writer.GetSpan(length)[..length];
        BinaryPrimitives.WriteUInt16LittleEndian(target, Form);
        BinaryPrimitives.WriteUInt16LittleEndian(target[2..], (ushort)file.StateVersion);
        BinaryPrimitives.WriteUInt32LittleEndian(target[4..], (uint)length);
        int at = HeaderLength;
        ReadOnlySpan<RegisterInfo> layout = file.Layout;
        for (int register = 0; register < layout.Length; register++)
        {
            RegisterInfo info = layout[register];
            if (info.Since == 0)
            {
                continue;
            }

            BinaryPrimitives.WriteUInt32LittleEndian(target[at..], (uint)info.Offset);
            BinaryPrimitives.WriteUInt32LittleEndian(target[(at + 4)..], Shape(info));
            at += RecordLength;
            for (int element = 0; element < info.Count; element++, at += info.Width)
            {
                Store(target.Slice(at, info.Width), file.ContentOf(register, element));
            }
        }

        writer.Advance(length);
    }

    /// <summary>Looks at all of a state and changes nothing.</summary>
    public static RegisterRestoreResult Check(RegisterFile file, ReadOnlySpan<byte> state)
    {
        if (state.Length < HeaderLength)
        {
            return new RegisterRestoreResult(file, RegisterStateProblem.Length, (ulong)state.Length, (ulong)Length(file, file.StateVersion));
        }

        ushort form = BinaryPrimitives.ReadUInt16LittleEndian(state);
        if (form != Form)
        {
            return new RegisterRestoreResult(file, RegisterStateProblem.UnknownFormat, form, Form);
        }

        ushort version = BinaryPrimitives.ReadUInt16LittleEndian(state[2..]);
        if (version == 0 || version > file.StateVersion)
        {
            return new RegisterRestoreResult(file, RegisterStateProblem.UnknownVersion, version, (ulong)file.StateVersion);
        }

        int length = Length(file, version);
        uint said = BinaryPrimitives.ReadUInt32LittleEndian(state[4..]);
        if (state.Length != length || said != (uint)length)
        {
            return new RegisterRestoreResult(file, RegisterStateProblem.Length, state.Length != length ? (ulong)state.Length : said, (ulong)length);
        }

        int at = HeaderLength;
        ReadOnlySpan<RegisterInfo> layout = file.Layout;
        for (int register = 0; register < layout.Length; register++)
        {
            RegisterInfo info = layout[register];
            if (!IsIn(info, version))
            {
                continue;
            }

            uint offset = BinaryPrimitives.ReadUInt32LittleEndian(state[at..]);
            uint shape = BinaryPrimitives.ReadUInt32LittleEndian(state[(at + 4)..]);
            if (offset != info.Offset || shape != Shape(info))
            {
                return offset != info.Offset
                    ? new RegisterRestoreResult(file, RegisterStateProblem.Register, offset, info.Offset, register)
                    : new RegisterRestoreResult(file, RegisterStateProblem.Shape, shape, Shape(info), register);
            }

            at += RecordLength;
            for (int element = 0; element < info.Count; element++, at += info.Width)
            {
                ulong value = Load(state.Slice(at, info.Width));
                if ((value & ~info.Mask) != 0)
                {
                    return new RegisterRestoreResult(file, RegisterStateProblem.Bits, value, info.Mask, register);
                }
            }
        }

        return default;
    }

    /// <summary>Restores a state that <see cref="Check"/> has passed.</summary>
    public static void Apply(RegisterFile file, ReadOnlySpan<byte> state)
    {
        ushort version = BinaryPrimitives.ReadUInt16LittleEndian(state[2..]);
        int at = HeaderLength;
        ReadOnlySpan<RegisterInfo> layout = file.Layout;
        for (int register = 0; register < layout.Length; register++)
        {
            RegisterInfo info = layout[register];
            if (info.Since == 0)
            {
                continue;
            }

            bool isIn = IsIn(info, version);
            at += isIn ? RecordLength : 0;
            for (int element = 0; element < info.Count; element++)
            {
                file.Restore(register, element, isIn ? Load(state.Slice(at, info.Width)) : info.Reset);
                at += isIn ? info.Width : 0;
            }
        }
    }

    private static bool IsIn(RegisterInfo info, int version) => info.Since != 0 && info.Since <= version;

    private static uint Shape(RegisterInfo info) => (uint)info.Width | ((uint)info.Count << 8);

    internal static int Length(RegisterFile file, int version)
    {
        int length = HeaderLength;
        foreach (RegisterInfo info in file.Layout)
        {
            length += IsIn(info, version) ? RecordLength + (info.Count * info.Width) : 0;
        }

        return length;
    }

    private static ulong Load(ReadOnlySpan<byte> bytes)
    {
        ulong value = 0;
        for (int i = bytes.Length - 1; i >= 0; i--)
        {
            value = (value << 8) | bytes[i];
        }

        return value;
    }

    private static void Store(Span<byte> bytes, ulong value)
    {
        for (int i = 0; i < bytes.Length; i++, value >>= 8)
        {
            bytes[i] = (byte)value;
        }
    }
}

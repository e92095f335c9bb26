using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Vfio.Abi;

namespace Vfio.Pci;

/// <summary>The form of a PCI device's migration stream (<c>docs/registers.md</c>); all numbers little-endian.</summary>
/// <remarks>
/// <para>Identity: 8 bytes of magic, u16 form, u16 bytes that follow, u16 each of vendor, device, subsystem vendor and id, u32 class and revision, and what the device adds.</para>
/// <para>
/// State: u64 bytes that follow; u16 register files, each u16 BAR, u64 offset, and its own form; u32 bytes of the device's own state, and those; u16 works that
/// wait, each a byte-counted name, u8 whether a run is asked for, u8 whether there is a delay, u64 of which so many 100 ns are left.
/// </para>
/// </remarks>
internal static class PciDeviceState
{
    private const ushort Form = 1;
    private const int HeaderLength = 12;
    private const int IdsLength = 12;

    /// <summary>Beside registers and what the device adds: counts and works.</summary>
    private const int Overhead = 64 * 1024;

    private static ReadOnlySpan<byte> Magic => "vfio-pci"u8;

    public static byte[] SaveIdentity(VfioPciDevice device)
    {
        var writer = new DeviceStateWriter();
        writer.WriteBytes(Magic);
        writer.WriteUInt16(Form);
        Span<byte> length = writer.Reserve(sizeof(ushort));
        length.Clear();
        writer.WriteUInt16(device.Config.GetWord(PciRegister.VendorId));
        writer.WriteUInt16(device.Config.GetWord(PciRegister.DeviceId));
        writer.WriteUInt16(device.Config.GetWord(PciRegister.SubsystemVendorId));
        writer.WriteUInt16(device.Config.GetWord(PciRegister.SubsystemId));
        writer.WriteUInt16(device.Config.GetWord(PciRegister.Revision));
        writer.WriteUInt16(device.Config.GetWord(PciRegister.Revision + 2));
        device.SaveIdentity(writer);
        byte[] identity = writer.Written.ToArray();
        BinaryPrimitives.WriteUInt16LittleEndian(identity.AsSpan(HeaderLength - sizeof(ushort)), (ushort)(identity.Length - HeaderLength));
        return identity;
    }

    /// <summary>Says what differs.</summary>
    public static Errno Compare(ReadOnlySpan<byte> own, ReadOnlySpan<byte> received, out string reason)
    {
        if (!received.StartsWith(Magic[..Math.Min(Magic.Length, received.Length)]))
        {
            reason = "it does not begin like the state of a PCI device";
            return Errno.EINVAL;
        }

        if (received.Length >= Magic.Length + sizeof(ushort) && BinaryPrimitives.ReadUInt16LittleEndian(received[Magic.Length..]) is var form && form != Form)
        {
            reason = Text($"it has the form {form}; this library knows {Form}. Restore it with the library that saved it, or a newer one");
            return Errno.EPROTONOSUPPORT;
        }

        reason = received.Length < HeaderLength + IdsLength || received[HeaderLength..(HeaderLength + IdsLength)].SequenceEqual(own[HeaderLength..(HeaderLength + IdsLength)])
            ? "it is of a device with other settings. Start both with the same"
            : Text($"it is of a device {BinaryPrimitives.ReadUInt16LittleEndian(received[HeaderLength..]):X4}:{BinaryPrimitives.ReadUInt16LittleEndian(received[(HeaderLength + 2)..]):X4} or another revision of it; this one is {BinaryPrimitives.ReadUInt16LittleEndian(own[HeaderLength..]):X4}:{BinaryPrimitives.ReadUInt16LittleEndian(own[(HeaderLength + 2)..]):X4}");
        return Errno.EINVAL;
    }

    /// <summary>The most bytes of a stream.</summary>
    public static long MaximumLength(VfioPciDevice device)
    {
        long registers = 0;
        foreach ((_, _, RegisterFile file) in device.RegisterFiles())
        {
            registers += RegisterState.Length(file, file.StateVersion);
        }

        return Math.Min(Array.MaxLength, Overhead + registers + device.MaximumStateLength);
    }

    /// <summary>Writes the state of a device that has stopped.</summary>
    public static byte[] Save(VfioPciDevice device)
    {
        var writer = new DeviceStateWriter();
        var own = new DeviceStateWriter();
        writer.WriteUInt64(0);
        lock (device.StateLock)
        {
            (int Bar, ulong Offset, RegisterFile File)[] files = [.. device.RegisterFiles()];
            writer.WriteUInt16((ushort)files.Length);
            foreach ((int bar, ulong offset, RegisterFile file) in files)
            {
                writer.WriteUInt16((ushort)bar);
                writer.WriteUInt64(offset);
                file.Save(writer.Buffer);
            }

            device.SaveState(own);
            writer.WriteUInt32((uint)own.Length);
            writer.WriteBytes(own.Written);
            SaveWorks(device, writer);
        }

        byte[] state = writer.Written.ToArray();
        BinaryPrimitives.WriteUInt64LittleEndian(state, (ulong)state.Length - sizeof(ulong));
        return state;
    }

    /// <summary>Gives a stopped device a state: its own is kept when something is wrong before anything was changed; later it is reset.</summary>
    public static Errno TryRestore(VfioPciDevice device, ReadOnlySpan<byte> state)
    {
        Errno error;
        string? reason;
        lock (device.StateLock)
        {
            error = TryRestore(device, state, out reason, out bool isChanged);
            if (error != Errno.None && isChanged)
            {
                device.ResetAfterRefusal();
            }
        }

        if (error != Errno.None)
        {
            device.LogStateRefused(reason!);
        }

        return error;
    }

    private static Errno TryRestore(VfioPciDevice device, ReadOnlySpan<byte> state, out string? reason, out bool isChanged)
    {
        isChanged = false;
        var reader = new DeviceStateReader(state);
        ulong said = reader.ReadUInt64();
        if (reader.IsBroken || said != (ulong)reader.Left)
        {
            reason = Text($"it has {state.Length} bytes behind its head where {said + sizeof(ulong)} are announced; it was cut or is damaged");
            return Errno.EINVAL;
        }

        // First everything is looked at.
        (int Bar, ulong Offset, RegisterFile File)[] files = [.. device.RegisterFiles()];
        DeviceStateReader places = reader;
        int count = reader.ReadUInt16();
        if (count != files.Length)
        {
            reason = Text($"it has {count} register files; this device has {files.Length}");
            return Errno.EINVAL;
        }

        foreach ((int bar, ulong offset, RegisterFile file) in files)
        {
            int foundBar = reader.ReadUInt16();
            ulong foundOffset = reader.ReadUInt64();
            if (foundBar != bar || foundOffset != offset)
            {
                reason = Text($"it has registers at 0x{foundOffset:X} of BAR {foundBar} where block '{file.Name}' at 0x{offset:X} of BAR {bar} is expected");
                return Errno.EINVAL;
            }

            RegisterRestoreResult result = RegisterState.Check(file, TakeFile(ref reader));
            if (result.Error != Errno.None)
            {
                reason = result.ToString();
                return result.Error;
            }
        }

        ReadOnlySpan<byte> own = reader.ReadBytes(reader.ReadUInt32());
        DeviceStateReader works = reader;
        int workCount = reader.ReadUInt16();
        for (int i = 0; i < workCount && !reader.IsBroken; i++)
        {
            _ = reader.ReadBytes(reader.ReadByte());
            _ = reader.ReadBoolean();
            _ = reader.ReadBoolean();
            _ = reader.ReadUInt64();
        }

        if (reader.IsBroken || reader.Left != 0)
        {
            reason = reader.IsBroken ? "its parts are longer than the whole; it is damaged" : Text($"{reader.Left} bytes follow what is known; it is of a newer model, or damaged");
            return Errno.EINVAL;
        }

        // Then it is taken.
        isChanged = true;
        _ = places.ReadUInt16();
        foreach ((_, _, RegisterFile file) in files)
        {
            _ = places.ReadUInt16();
            _ = places.ReadUInt64();
            _ = file.TryRestore(TakeFile(ref places));
        }

        var ownReader = new DeviceStateReader(own);
        Errno error = device.TryRestoreState(ref ownReader);
        if (error != Errno.None || ownReader.IsBroken || ownReader.Left != 0)
        {
            error = error == Errno.None ? Errno.EINVAL : error;
            reason = ownReader.IsBroken ? "the device's own part ends early"
                : ownReader.Left != 0 && error == Errno.EINVAL ? "the device's own part does not describe a state that this device can be in"
                : Text($"the device's own part does not describe a state that this device can be in ({error})");
            return error;
        }

        reason = RestoreWorks(device, ref works);
        return reason is null ? Errno.None : Errno.EINVAL;
    }

    /// <summary>The saved form of a register file, whose length stands in it.</summary>
    private static ReadOnlySpan<byte> TakeFile(ref DeviceStateReader reader)
    {
        const int LengthOffset = 4;
        DeviceStateReader ahead = reader;
        ReadOnlySpan<byte> head = ahead.ReadBytes(LengthOffset + sizeof(uint));
        return head.IsEmpty ? default : reader.ReadBytes(BinaryPrimitives.ReadUInt32LittleEndian(head[LengthOffset..]));
    }

    private static void SaveWorks(VfioPciDevice device, DeviceStateWriter writer)
    {
        DeviceWork[] works = device.Works();
        writer.WriteUInt16((ushort)works.Length);
        foreach (DeviceWork work in works)
        {
            byte[] name = Encoding.UTF8.GetBytes(work.Name);
            bool isQueued = work.GetPending(out TimeSpan? left);
            writer.WriteByte((byte)name.Length);
            writer.WriteBytes(name.AsSpan(0, (byte)name.Length));
            writer.WriteBoolean(isQueued);
            writer.WriteBoolean(left is not null);
            writer.WriteUInt64((ulong)(left?.Ticks ?? 0));
        }
    }

    private static string? RestoreWorks(VfioPciDevice device, ref DeviceStateReader reader)
    {
        DeviceWork[] works = device.Works();
        for (int count = reader.ReadUInt16(); count > 0; count--)
        {
            ReadOnlySpan<byte> name = reader.ReadBytes(reader.ReadByte());
            bool isQueued = reader.ReadBoolean();
            bool hasDelay = reader.ReadBoolean();
            ulong left = reader.ReadUInt64();
            DeviceWork? found = Find(works, name);
            if (found is null && !isQueued && !hasDelay)
            {
                continue;
            }

            if (found is null || left > (ulong)TimeSpan.FromDays(1).Ticks)
            {
                return found is null ? "a work is asked for that this device does not have" : "a work has a delay of more than a day";
            }

            if (isQueued)
            {
                found.Schedule();
            }

            if (hasDelay)
            {
                found.Schedule(TimeSpan.FromTicks(Math.Max(1, (long)left)));
            }
        }

        return null;
    }

    private static DeviceWork? Find(DeviceWork[] works, ReadOnlySpan<byte> name)
    {
        foreach (DeviceWork work in works)
        {
            if (Encoding.UTF8.GetBytes(work.Name).AsSpan().SequenceEqual(name))
            {
                return work;
            }
        }

        return null;
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}

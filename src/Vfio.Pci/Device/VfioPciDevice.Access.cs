using System.Buffers.Binary;
using Microsoft.Extensions.Logging;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Pci;

/// <content>Reads and writes of regions (spec vfio-core §5.8, <c>vfio_pci_rw</c>).</content>
public abstract partial class VfioPciDevice
{
    /// <inheritdoc/>
    protected sealed override IoResult Read(Span<byte> buffer, ulong position)
    {
        uint region = PciLayout.Region(position);
        ulong offset = PciLayout.Offset(position);
        if (buffer.IsEmpty)
        {
            return IoResult.Success();
        }

        if (!_lowPower.IsEngaged)
        {
            return ReadRegion(region, offset, buffer);
        }

        if (!TryBeginAccess())
        {
            return Errno.EIO;
        }

        try
        {
            return ReadRegion(region, offset, buffer);
        }
        finally
        {
            EndAccess();
        }
    }

    /// <inheritdoc/>
    protected sealed override IoResult Write(ReadOnlySpan<byte> buffer, ulong position)
    {
        uint region = PciLayout.Region(position);
        ulong offset = PciLayout.Offset(position);
        if (buffer.IsEmpty)
        {
            return IoResult.Success();
        }

        if (!_lowPower.IsEngaged)
        {
            return WriteRegion(region, offset, buffer);
        }

        if (!TryBeginAccess())
        {
            return Errno.EIO;
        }

        try
        {
            return WriteRegion(region, offset, buffer);
        }
        finally
        {
            EndAccess();
        }
    }

    /// <summary>The widest naturally aligned piece at an offset.</summary>
    private static int PieceWidth(ulong offset, int remaining, ulong areaEnd, int maximum)
    {
        int width = Math.Min(maximum, 8);
        while ((offset & (ulong)(width - 1)) != 0 || width > remaining || offset + (ulong)width > areaEnd)
        {
            width >>= 1;
        }

        return width;
    }

    private static ulong Load(ReadOnlySpan<byte> bytes) => bytes.Length switch
    {
        1 => bytes[0],
        2 => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
        4 => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
        _ => BinaryPrimitives.ReadUInt64LittleEndian(bytes),
    };

    private static void Store(Span<byte> bytes, ulong value)
    {
        switch (bytes.Length)
        {
            case 1:
                bytes[0] = (byte)value;
                break;
            case 2:
                BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)value);
                break;
            case 4:
                BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)value);
                break;
            default:
                BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
                break;
        }
    }

    /// <summary>Whether an access of this length is one that a processor can make; only those are held to the register's width.</summary>
    private static bool IsSingle(ulong offset, int length) => length <= 8 && int.IsPow2(length) && (offset & (ulong)(length - 1)) == 0;

    private IoResult ReadRegion(uint region, ulong offset, Span<byte> buffer)
    {
        if (region < 6)
        {
            return ReadBar((int)region, offset, buffer);
        }

        switch ((PciRegion)region)
        {
            case PciRegion.Config:
                Errno error = _config.Read(offset, buffer);
                return error == Errno.None ? IoResult.Success(buffer.Length) : error;
            case PciRegion.Rom:
                return ReadRom(offset, buffer);
            default:
                return Errno.EINVAL;
        }
    }

    private IoResult WriteRegion(uint region, ulong offset, ReadOnlySpan<byte> buffer)
        => region < 6 ? WriteBar((int)region, offset, buffer)
            : region == (uint)PciRegion.Config ? WriteConfig(offset, buffer)
            : Errno.EINVAL;

    private IoResult ReadBar(int index, ulong offset, Span<byte> buffer)
    {
        Errno error = CheckBar(index, offset, buffer.Length, out PciBar? bar);
        if (error != Errno.None)
        {
            return error;
        }

        int length = (int)Math.Min((ulong)buffer.Length, bar!.Size - offset);
        bool isSingle = IsSingle(offset, buffer.Length);
        lock (StateLock)
        {
            for (int done = 0; done < length;)
            {
                ulong at = offset + (ulong)done;
                BarArea? area = bar.Find(at);
                int width = PieceWidth(at, length - done, area?.End ?? bar.Size, area?.Block?.MaxAccessWidth ?? 8);
                Store(buffer.Slice(done, width), ReadPiece(bar, area, at, ref width, mayNarrow: !isSingle));
                done += width;
            }
        }

        return IoResult.Success(length);
    }

    private IoResult WriteBar(int index, ulong offset, ReadOnlySpan<byte> buffer)
    {
        Errno error = CheckBar(index, offset, buffer.Length, out PciBar? bar);
        if (error != Errno.None)
        {
            return error;
        }

        int length = (int)Math.Min((ulong)buffer.Length, bar!.Size - offset);
        bool isSingle = IsSingle(offset, buffer.Length);
        lock (StateLock)
        {
            for (int done = 0; done < length;)
            {
                ulong at = offset + (ulong)done;
                BarArea? area = bar.Find(at);
                int width = PieceWidth(at, length - done, area?.End ?? bar.Size, area?.Block?.MaxAccessWidth ?? 8);
                done += WritePiece(bar, area, at, buffer.Slice(done, width), mayNarrow: !isSingle);
            }
        }

        return IoResult.Success(length);
    }

    private ulong ReadPiece(PciBar bar, BarArea? area, ulong at, ref int width, bool mayNarrow)
    {
        if (area?.Memory is { } memory)
        {
            return memory.Read(at - area.Offset, width);
        }

        AccessResult result = AccessResult.InvalidRegister;
        if (area?.Block is { } block)
        {
            result = block.Read(at - area.Offset, width, out ulong value);
            while (result == AccessResult.InvalidAccessSize && mayNarrow && width > 1)
            {
                width >>= 1;
                result = block.Read(at - area.Offset, width, out value);
            }

            if (result == AccessResult.Ok)
            {
                if (Logger.IsEnabled(LogLevel.Trace))
                {
                    LogRegister(Name, "read", bar.Index, at, block.Describe(at - area.Offset, value));
                }

                return value;
            }
        }

        ReportAccess("read", bar, area, at, width, result);
        return ulong.MaxValue;
    }

    private int WritePiece(PciBar bar, BarArea? area, ulong at, ReadOnlySpan<byte> bytes, bool mayNarrow)
    {
        int width = bytes.Length;
        ulong value = Load(bytes);
        if (bar.Doorbells.Length != 0 && bar.FindDoorbell(at, width, value) is { } bell)
        {
            if (area?.Memory is { } shadow)
            {
                shadow.Write(at - area.Offset, width, value);
            }

            bell.Callback(value);
            return width;
        }

        if (area?.Memory is { } memory)
        {
            memory.Write(at - area.Offset, width, value);
            area.Written?.Invoke();
            return width;
        }

        AccessResult result = AccessResult.InvalidRegister;
        if (area?.Block is { } block)
        {
            result = block.Write(at - area.Offset, width, value);
            while (result == AccessResult.InvalidAccessSize && mayNarrow && width > 1)
            {
                width >>= 1;
                value = Load(bytes[..width]);
                result = block.Write(at - area.Offset, width, value);
            }

            if (result == AccessResult.Ok)
            {
                if (Logger.IsEnabled(LogLevel.Trace))
                {
                    LogRegister(Name, "write", bar.Index, at, block.Describe(at - area.Offset, value));
                }

                return width;
            }
        }

        ReportAccess("write", bar, area, at, width, result);
        return width;
    }

    private void ReportAccess(string access, PciBar bar, BarArea? area, ulong at, int width, AccessResult result)
    {
        if (Logger.IsEnabled(LogLevel.Warning) && TryLog(out long swallowed))
        {
            string block = area?.Block is { } registers ? registers.Describe(at - area.Offset) ?? registers.Name : "nothing there";
            LogAccess(Name, access, width, at, bar.Index, block, result, swallowed);
        }
    }

    private Errno CheckBar(int index, ulong offset, int length, out PciBar? bar)
    {
        bar = (uint)index < (uint)_bars.Length ? _bars[index] : null;
        if (bar is null || offset >= bar.Size)
        {
            return Errno.EINVAL;
        }

        // A hidden message table does not reach the function, whether or not it decodes.
        return !_configuration!.EnforceDecode || IsDecoding(bar) || (bar.Find(offset) is { Block: HiddenBlock } hidden && (ulong)length <= hidden.End - offset)
            ? Errno.None
            : Errno.EIO;
    }

    private bool IsDecoding(PciBar bar)
    {
        var command = (PciCommand)_config.GetWord(PciRegister.Command);
        PciCommand needed = bar.Kind == PciBarKind.Io ? PciCommand.IoSpace : PciCommand.MemorySpace;
        return (command & needed) != 0 && Volatile.Read(ref _powerState) != 3;
    }

    private IoResult ReadRom(ulong offset, Span<byte> buffer)
    {
        PciConfiguration configuration = _configuration!;
        if (offset >= configuration.RomSize)
        {
            return Errno.EINVAL;
        }

        int length = (int)Math.Min((ulong)buffer.Length, configuration.RomSize - offset);
        Span<byte> target = buffer[..length];
        target.Fill(0xFF);
        if (offset < (ulong)configuration.Rom!.Length)
        {
            ReadOnlySpan<byte> content = configuration.Rom.AsSpan((int)offset);
            content[..Math.Min(content.Length, length)].CopyTo(target);
        }

        return IoResult.Success(length);
    }

    private IoResult WriteConfig(ulong offset, ReadOnlySpan<byte> buffer)
    {
        ConfigEvents events;
        lock (StateLock)
        {
            Errno error = _config.Write(offset, buffer, out events);
            if (error != Errno.None)
            {
                return error;
            }

            if (events != ConfigEvents.None)
            {
                React(events);
            }
        }

        if ((events & ConfigEvents.FunctionReset) != 0)
        {
            _ = AwaitCancelledWorks();
        }

        return IoResult.Success(buffer.Length);
    }

    private void React(ConfigEvents events)
    {
        PciConfiguration configuration = _configuration!;
        if ((events & ConfigEvents.Msi) != 0)
        {
            configuration.Interrupts.ClampMsi();
        }

        if ((events & (ConfigEvents.Command | ConfigEvents.Msi | ConfigEvents.Msix)) != 0)
        {
            configuration.Interrupts.OnConfigChanged();
        }

        if ((events & ConfigEvents.Command) != 0)
        {
            UpdateDmaBufs();
            OnCommandChanged((PciCommand)_config.GetWord(PciRegister.Command));
        }

        if ((events & ConfigEvents.Power) != 0)
        {
            ChangePowerState(configuration.PowerOffset + 4);
        }

        if ((events & ConfigEvents.Vendor) != 0)
        {
            OnVendorConfigChanged();
        }

        if ((events & ConfigEvents.FunctionReset) != 0)
        {
            LogReset(Name, ResetKind.FunctionLevel);
            Reset(ResetKind.FunctionLevel);
        }
    }

    private void ChangePowerState(int register)
    {
        int state = _config.GetWord(register) & 3;
        if (state is 1 or 2)
        {
            // Not supported: the write of the state is dropped (PCI PM 1.2 §3.2.4).
            _config.Update(register, 3, (uint)_powerState);
            return;
        }

        if (state != _powerState)
        {
            Volatile.Write(ref _powerState, state);
            UpdateDmaBufs();
            OnPowerStateChanged(state);
        }
    }
}

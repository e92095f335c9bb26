using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>
/// Moves an operand between a program's address and a buffer, in the accesses that a host bridge would make: pieces of 8, 4, 2 or 1 bytes, each the largest
/// that is naturally aligned, in rising order. What is not trapped is memory of the process.
/// Where a device refuses, a bus reads all ones, and what is written is lost. One instruction at a time.
/// </summary>
/// <param name="trace">Where each access of a device is told; null for nowhere.</param>
internal sealed class TrappedTransfer(CallTrace? trace)
{
    /// <summary>All bytes of the longest operand.</summary>
    internal const ulong AllBytes = ulong.MaxValue;

    private TrappedAccess _target;
    private ulong _targetAddress;
    private bool _isTrapped;

    private SupervisedProcess? _process;

    /// <summary>Looks the first address of an instruction up.</summary>
    internal bool TryBegin(SupervisedProcess process, ulong address)
    {
        _process = process;
        _targetAddress = address;
        _isTrapped = process.Mappings.TryFind(address, out _target);
        return _isTrapped;
    }

    /// <summary>Whether an address is trapped.</summary>
    internal bool IsTrapped(ulong address) => Covers(address) || TryBegin(_process!, address);

    /// <summary>Reads an operand.</summary>
    /// <param name="address">Its address.</param>
    /// <param name="data">Room for it, at most 64 bytes.</param>
    /// <param name="enabled">The bytes of it that are accessed, the first one the lowest bit.</param>
    internal Errno Read(ulong address, Span<byte> data, ulong enabled)
    {
        for (int i = 0; i < data.Length;)
        {
            int width = WidthAt(address, i, data.Length, enabled);
            if (width == 0)
            {
                i++;
                continue;
            }

            Span<byte> piece = data.Slice(i, width);
            ulong place = address + (ulong)i;
            if (!IsTrapped(place))
            {
                Errno error = ProcessMemory.TryRead(_process!.Id, (nuint)place, piece);
                if (error != Errno.None)
                {
                    return error;
                }
            }
            else
            {
                TrappedAccess target = TargetAt(place);
                Errno error = target.Read(piece);
                if (error != Errno.None)
                {
                    piece.Fill(0xFF);
                }

                trace?.TellAccess(_process!.Id, target.File, target.Position, isWrite: false, piece, error);
            }

            i += width;
        }

        return Errno.None;
    }

    /// <summary>Writes an operand; as <see cref="Read"/>.</summary>
    internal Errno Write(ulong address, ReadOnlySpan<byte> data, ulong enabled)
    {
        for (int i = 0; i < data.Length;)
        {
            int width = WidthAt(address, i, data.Length, enabled);
            if (width == 0)
            {
                i++;
                continue;
            }

            Errno error = WriteAtOnce(address + (ulong)i, data.Slice(i, width));
            if (error != Errno.None)
            {
                return error;
            }

            i += width;
        }

        return Errno.None;
    }

    /// <summary>Writes a piece, or a direct store, in one access. It is aligned to its length and lies in one place.</summary>
    internal Errno WriteAtOnce(ulong address, ReadOnlySpan<byte> data)
    {
        if (!IsTrapped(address))
        {
            return ProcessMemory.TryWrite(_process!.Id, (nuint)address, data);
        }

        TrappedAccess target = TargetAt(address);
        Errno error = target.WriteAtOnce(data);
        trace?.TellAccess(_process!.Id, target.File, target.Position, isWrite: true, data, error);
        return Errno.None;
    }

    private TrappedAccess TargetAt(ulong address) => new(_target.File, _target.Position + (address - _targetAddress), _target.Room - (address - _targetAddress));

    private bool Covers(ulong address) => _isTrapped && address - _targetAddress < _target.Room;

    private static int WidthAt(ulong address, int index, int length, ulong enabled)
    {
        for (int width = 8; width > 0; width >>= 1)
        {
            ulong bytes = ((1UL << width) - 1) << index;
            if (((address + (ulong)index) & (ulong)(width - 1)) == 0 && index + width <= length && (enabled & bytes) == bytes)
            {
                return width;
            }
        }

        return 0;
    }
}

using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>Physical region pages: two entries in the command, or one and a list (NVMe Base 2.0 §4.1.1). Neighbouring pages are joined.</summary>
internal sealed class PrpList(HostLane host)
{
    private const int EntryLength = sizeof(ulong);

    /// <summary>Entries that are held at a time.</summary>
    private const int Capacity = 512;

    private readonly ulong[] _entries = new ulong[Capacity];
    private uint _pageSize;

    // The piece that has begun.
    private ulong _address;
    private long _pieceLeft;

    /// <summary>Bytes behind the piece that has begun.</summary>
    private long _unlisted;

    // Entries that were read from the list and not used, and where to read on.
    private int _next;
    private int _count;
    private ulong _list;

    public NvmeStatus Begin(ulong first, ulong second, long length, uint pageSize)
    {
        _pageSize = pageSize;
        _next = _count = 0;
        _list = 0;
        if ((first & 3) != 0)
        {
            return NvmeStatus.PrpOffsetInvalid;
        }

        _address = first;
        _pieceLeft = Math.Min(length, pageSize - (long)(first & (pageSize - 1)));
        _unlisted = length - _pieceLeft;
        if (_unlisted == 0)
        {
            return NvmeStatus.Success;
        }

        if (_unlisted <= pageSize)
        {
            _entries[0] = second;
            _count = 1;
            return (second & (pageSize - 1)) == 0 ? NvmeStatus.Success : NvmeStatus.PrpOffsetInvalid;
        }

        _list = second;
        return (second & (EntryLength - 1)) == 0 ? NvmeStatus.Success : NvmeStatus.PrpOffsetInvalid;
    }

    public NvmeStatus Next(int limit, out ulong iova, out int length)
    {
        iova = 0;
        length = 0;
        if (_pieceLeft == 0)
        {
            NvmeStatus status = Take(out _address);
            if (status != NvmeStatus.Success)
            {
                return status;
            }

            _pieceLeft = Math.Min(_unlisted, _pageSize);
            _unlisted -= _pieceLeft;
        }

        while (_pieceLeft < limit && _next < _count && _entries[_next] == _address + (ulong)_pieceLeft && _entries[_next] != 0)
        {
            _next++;
            long page = Math.Min(_unlisted, _pageSize);
            _pieceLeft += page;
            _unlisted -= page;
        }

        iova = _address;
        length = (int)Math.Min(limit, _pieceLeft);
        _address += (ulong)length;
        _pieceLeft -= length;
        return NvmeStatus.Success;
    }

    /// <summary>Gives back the end of the last piece.</summary>
    public void Back(int length)
    {
        _address -= (ulong)length;
        _pieceLeft += length;
    }

    private NvmeStatus Take(out ulong entry)
    {
        entry = 0;
        if (_next == _count)
        {
            NvmeStatus status = Load();
            if (status != NvmeStatus.Success)
            {
                return status;
            }
        }

        entry = _entries[_next++];
        return NvmeStatus.Success;
    }

    /// <summary>Reads the next part of the list. Ends with at least one entry, or an error.</summary>
    private NvmeStatus Load()
    {
        while (true)
        {
            ulong inPage = (_pageSize - (_list & (_pageSize - 1))) / EntryLength;
            ulong needed = (ulong)((_unlisted + _pageSize - 1) / _pageSize);

            // The last place of a page leads to the next page of the list when more entries are needed than fit.
            bool isChained = needed > inPage;
            int count = (int)Math.Min(isChained ? inPage : needed, Capacity);
            if (host.Read(_list, MemoryMarshal.AsBytes(_entries.AsSpan(0, count))) != Errno.None)
            {
                return NvmeStatus.DataTransferError;
            }

            _next = 0;
            _count = count;
            _list += (ulong)count * EntryLength;
            if (isChained && (ulong)count == inPage)
            {
                _count--;
                _list = _entries[_count];
                if ((_list & (_pageSize - 1)) != 0)
                {
                    return NvmeStatus.PrpOffsetInvalid;
                }
            }

            for (int i = 0; i < _count; i++)
            {
                if ((_entries[i] & (_pageSize - 1)) != 0)
                {
                    return NvmeStatus.PrpOffsetInvalid;
                }
            }

            // A list that begins in the last place of a page holds nothing but the way to the next page, which begins at its first.
            if (_count != 0)
            {
                return NvmeStatus.Success;
            }
        }
    }
}

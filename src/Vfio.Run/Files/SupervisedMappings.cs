using System.Diagnostics;
using System.Globalization;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>Where a process has devices mapped, as the kernel tells; what was learned is asked again when it is older than a moment.</summary>
/// <param name="processId">The process.</param>
/// <param name="table">The open files.</param>
internal sealed class SupervisedMappings(int processId, OpenFileTable table)
{
    /// <summary>How long an answer of the kernel holds: an access to a mapping that was changed less ago would be a race in the program too.</summary>
    private static readonly long s_validity = Stopwatch.Frequency / 1000;
    private readonly Lock _lock = new();
    private Known[] _known = [];
    private long _asked;

    public void Clear()
    {
        lock (_lock)
        {
            _known = [];
            _asked = 0;
        }
    }

    /// <summary>The device and the place in it that an address is.</summary>
    public bool TryFind(ulong address, out TrappedAccess target)
    {
        lock (_lock)
        {
            bool isFresh = Stopwatch.GetTimestamp() - _asked < s_validity;
            if ((isFresh && TryFindKnown(address, out target)) || (Refresh() && TryFindKnown(address, out target)))
            {
                return true;
            }

            target = default;
            return false;
        }
    }

    /// <summary>Whether the program may write at an address.</summary>
    public bool IsWritable(ulong address)
    {
        lock (_lock)
        {
            if (!TryFindVma(address, out Known vma) && (!Refresh() || !TryFindVma(address, out vma)))
            {
                return false;
            }

            return vma.IsWritable || (Refresh() && TryFindVma(address, out vma) && vma.IsWritable);
        }
    }

    private bool TryFindKnown(ulong address, out TrappedAccess target)
    {
        if (TryFindVma(address, out Known vma) && vma.File is { IsDead: false } file)
        {
            target = new TrappedAccess(file, vma.Offset + (address - vma.Start), vma.End - address);
            return true;
        }

        target = default;
        return false;
    }

    private bool TryFindVma(ulong address, out Known vma)
    {
        Known[] known = _known;
        int low = 0;
        int high = known.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) / 2;
            if (address < known[middle].Start)
            {
                high = middle - 1;
            }
            else if (address >= known[middle].End)
            {
                low = middle + 1;
            }
            else
            {
                vma = known[middle];
                return true;
            }
        }

        vma = default;
        return false;
    }

    /// <summary>Reads the list anew. Lock held.</summary>
    private bool Refresh()
    {
        List<Known> known = [];
        try
        {
            foreach (string line in File.ReadLines($"/proc/{processId}/maps"))
            {
                known.Add(Parse(line));
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;
        }

        _known = [.. known];
        _asked = Stopwatch.GetTimestamp();
        return true;
    }

    // 7f0000000000-7f0000001000 rw-s 10000000000 00:01 1234    /memfd:vfio:… (deleted)
    private Known Parse(string line)
    {
        string[] fields = line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries);
        int dash = fields[0].IndexOf('-', StringComparison.Ordinal);
        int colon = fields[3].IndexOf(':', StringComparison.Ordinal);
        ulong inode = ulong.Parse(fields[4], CultureInfo.InvariantCulture);
        OpenFile? file = inode == 0 ? null
            : table.Find(new FileIdentity((Hex(fields[3].AsSpan(0, colon)) << 32) | Hex(fields[3].AsSpan(colon + 1)), inode));
        return new Known(Hex(fields[0].AsSpan(0, dash)), Hex(fields[0].AsSpan(dash + 1)), Hex(fields[2]), fields[1][1] == 'w', file);
    }

    private static ulong Hex(ReadOnlySpan<char> text) => ulong.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private readonly record struct Known(ulong Start, ulong End, ulong Offset, bool IsWritable, OpenFile? File);
}

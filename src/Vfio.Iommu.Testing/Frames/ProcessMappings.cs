using System.Globalization;

namespace Vfio.Iommu.Testing;

/// <summary>The mappings of a process, as <c>/proc/PID/maps</c> lists them.</summary>
internal sealed class ProcessMappings
{
    private const ulong PageSize = 4096;
    private readonly int _processId;
    private readonly List<Mapping> _mappings = [];

    private ProcessMappings(int processId)
    {
        _processId = processId;
    }

    /// <summary>Reads the list; it is empty when the process is gone.</summary>
    public static ProcessMappings Read(int processId)
    {
        ProcessMappings mappings = new(processId);
        try
        {
            foreach (string line in File.ReadLines($"/proc/{processId}/maps"))
            {
                mappings._mappings.Add(Parse(line));
            }
        }
        catch (IOException)
        {
            mappings._mappings.Clear();
        }

        return mappings;
    }

    /// <summary>Names the page at an address: by the file where it is shared, by the process where it is private.</summary>
    public bool TryName(ulong address, out MemoryFrame frame)
    {
        int low = 0;
        int high = _mappings.Count - 1;
        while (low <= high)
        {
            int middle = (low + high) / 2;
            Mapping mapping = _mappings[middle];
            if (address < mapping.Start)
            {
                high = middle - 1;
            }
            else if (address >= mapping.End)
            {
                low = middle + 1;
            }
            else
            {
                frame = mapping.IsShared && mapping.Inode != 0
                    ? new MemoryFrame(null, mapping.Device, mapping.Inode, (mapping.Offset + (address - mapping.Start)) / PageSize)
                    : new MemoryFrame(null, 0, (ulong)_processId, address / PageSize);
                return true;
            }
        }

        frame = default;
        return false;
    }

    // 7f0000000000-7f0000010000 rw-s 00000000 00:01 1234    /memfd:name (deleted)
    private static Mapping Parse(string line)
    {
        string[] fields = line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries);
        int dash = fields[0].IndexOf('-', StringComparison.Ordinal);
        int colon = fields[3].IndexOf(':', StringComparison.Ordinal);
        ulong major = Hex(fields[3].AsSpan(0, colon));
        ulong minor = Hex(fields[3].AsSpan(colon + 1));
        return new Mapping(
            Hex(fields[0].AsSpan(0, dash)),
            Hex(fields[0].AsSpan(dash + 1)),
            fields[1][3] == 's',
            Hex(fields[2]),
            (major << 32) | minor,
            ulong.Parse(fields[4], CultureInfo.InvariantCulture));
    }

    private static ulong Hex(ReadOnlySpan<char> text) => ulong.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private readonly record struct Mapping(ulong Start, ulong End, bool IsShared, ulong Offset, ulong Device, ulong Inode);
}

using System.Globalization;
using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>What a process has mapped, asked of the kernel for each question. Any thread, one at a time.</summary>
/// <remarks>PROCMAP_QUERY of proc_pid_maps(5), Linux 6.11: a few microseconds. Before that the text is read, which takes longer the more is mapped.</remarks>
internal sealed unsafe class ProcessMaps : IDisposable
{
    private const uint Query = 0xC068_6611;
    private const ulong Readable = 1;
    private const ulong Writable = 2;
    private const ulong Shared = 8;
    private readonly int _processId;
    private FileDescriptor? _descriptor;

    /// <summary>Makes a question possible; whether the process is there shows the first one.</summary>
    public ProcessMaps(int processId)
    {
        _processId = processId;
    }

    /// <summary>Finds the mapping that an address is in.</summary>
    /// <param name="address">The address.</param>
    /// <param name="mapping">The mapping.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.ENOENT"/> when nothing is there; what opening the list gave, when the process is gone or another user's.</returns>
    public Errno TryFind(ulong address, out ProcessMapping mapping)
    {
        // The descriptor stays with the program that the process executed when it was opened: after another one it is ESRCH.
        Errno error = TryQuery(address, out mapping);
        if (error == Errno.ESRCH)
        {
            Dispose();
            error = TryQuery(address, out mapping);
        }

        return error == Errno.ENOTTY ? TryFindInText(address, out mapping) : error;
    }

    /// <summary>Forgets the descriptor; the next question opens another.</summary>
    public void Dispose()
    {
        _descriptor?.Dispose();
        _descriptor = null;
    }

    private Errno TryQuery(ulong address, out ProcessMapping mapping)
    {
        mapping = default;
        if (_descriptor is null)
        {
            Errno error = FileDescriptor.TryOpen(string.Create(CultureInfo.InvariantCulture, $"/proc/{_processId}/maps"), OpenMode.ReadOnly, out _descriptor);
            if (error != Errno.None)
            {
                return error;
            }
        }

        MapQuery query = new() { Size = (ulong)sizeof(MapQuery), Address = address };

        // SAFETY: the structure has the size that the request's number says.
        if (Interop.Ioctl(_descriptor!, Query, (nint)(&query)) < 0)
        {
            return Interop.LastError;
        }

        FileIdentity file = new(((ulong)query.DeviceMajor << 32) | query.DeviceMinor, query.Inode);
        mapping = new ProcessMapping(
            query.Start, query.End, query.Offset, file, (query.MapFlags & Readable) != 0, (query.MapFlags & Writable) != 0, (query.MapFlags & Shared) != 0);
        return Errno.None;
    }

    private Errno TryFindInText(ulong address, out ProcessMapping mapping)
    {
        mapping = ReadAll(_processId).FirstOrDefault(candidate => address < candidate.End);
        return mapping.End != 0 && address >= mapping.Start ? Errno.None : Errno.ENOENT;
    }

    /// <summary>All mappings of a process, in the order of their addresses; none when it is gone.</summary>
    public static IReadOnlyList<ProcessMapping> ReadAll(int processId)
    {
        try
        {
            return [.. File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/maps")).Select(Parse)];
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    // 7f0000000000-7f0000001000 rw-s 10000000000 00:01 1234    /memfd:vfio:… (deleted)
    internal static ProcessMapping Parse(string line)
    {
        string[] fields = line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries);
        int dash = fields[0].IndexOf('-', StringComparison.Ordinal);
        int colon = fields[3].IndexOf(':', StringComparison.Ordinal);
        FileIdentity file = new(
            (Hex(fields[3].AsSpan(0, colon)) << 32) | Hex(fields[3].AsSpan(colon + 1)), ulong.Parse(fields[4], CultureInfo.InvariantCulture));
        return new ProcessMapping(
            Hex(fields[0].AsSpan(0, dash)), Hex(fields[0].AsSpan(dash + 1)), Hex(fields[2]), file, fields[1][0] == 'r', fields[1][1] == 'w', fields[1][3] == 's');
    }

    private static ulong Hex(ReadOnlySpan<char> text) => ulong.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    /// <summary><c>struct procmap_query</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct MapQuery
    {
        public ulong Size;
        public ulong Flags;
        public ulong Address;
        public ulong Start;
        public ulong End;
        public ulong MapFlags;
        public ulong PageSize;
        public ulong Offset;
        public ulong Inode;
        public uint DeviceMajor;
        public uint DeviceMinor;
        public uint NameSize;
        public uint BuildIdSize;
        public ulong NameAddress;
        public ulong BuildIdAddress;
    }
}

/// <summary>A mapping of a process.</summary>
/// <param name="Start">Its first address.</param>
/// <param name="End">The address behind its last one.</param>
/// <param name="Offset">The position in the file that its start is.</param>
/// <param name="File">The file; its inode is 0 for memory that is no file's.</param>
/// <param name="IsReadable">Whether the process may read there.</param>
/// <param name="IsWritable">Whether it may write there.</param>
/// <param name="IsShared">Whether what it writes there is the file's.</param>
internal readonly record struct ProcessMapping(ulong Start, ulong End, ulong Offset, FileIdentity File, bool IsReadable, bool IsWritable, bool IsShared);

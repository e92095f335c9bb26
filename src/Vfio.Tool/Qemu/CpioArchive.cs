using System.Text;

namespace Vfio.Tool.Qemu;

/// <summary>
/// Writes files as a "newc" archive, the form of an initramfs; several archives one after the other make one file
/// system. (Linux, Documentation/driver-api/early-userspace/buffer-format.rst.)
/// </summary>
public sealed class CpioArchive
{
    private const int RegularFile = 0x8000;
    private const int Folder = 0x4000;
    private const int Executable = 0x1ED;

    private readonly Stream _stream;
    private readonly HashSet<string> _folders = new(StringComparer.Ordinal);
    private int _inode = 1_000_000;

    /// <summary>Begins an archive; the stream stays the caller's.</summary>
    public CpioArchive(Stream stream)
    {
        _stream = stream;
        Pad();
    }

    /// <summary>Adds an executable file (mode 0755) and the folders it is in.</summary>
    /// <param name="path">Where it is in the guest, with or without a leading slash.</param>
    /// <param name="content">What is in it.</param>
    public void AddFile(string path, ReadOnlySpan<byte> content)
    {
        path = path.TrimStart('/');
        for (int slash = path.IndexOf('/'); slash >= 0; slash = path.IndexOf('/', slash + 1))
        {
            string folder = path[..slash];
            if (_folders.Add(folder))
            {
                Entry(folder, Folder | Executable, []);
            }
        }

        Entry(path, RegularFile | Executable, content);
    }

    /// <summary>Adds a file or a whole folder of the host's.</summary>
    public void AddFromHost(string path, string hostPath)
    {
        if (!Directory.Exists(hostPath))
        {
            AddFile(path, File.ReadAllBytes(hostPath));
            return;
        }

        foreach (string file in Directory.EnumerateFiles(hostPath, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
        {
            AddFile(Path.Combine(path, Path.GetRelativePath(hostPath, file)), File.ReadAllBytes(file));
        }
    }

    /// <summary>Ends the archive.</summary>
    public void Complete() => Entry("TRAILER!!!", 0, []);

    private void Entry(string name, int mode, ReadOnlySpan<byte> content)
    {
        byte[] nameBytes = Encoding.UTF8.GetBytes(name + "\0");
        int links = (mode & Folder) != 0 ? 2 : 1;
        // Magic, then 8 hexadecimal digits each: inode, mode, uid, gid, links, time, size, device (major, minor),
        // special device (major, minor), length of the name, checksum.
        string header = $"070701{_inode++:X8}{mode:X8}{0:X8}{0:X8}{links:X8}{0:X8}{content.Length:X8}"
            + $"{0:X8}{0:X8}{0:X8}{0:X8}{nameBytes.Length:X8}{0:X8}";
        _stream.Write(Encoding.ASCII.GetBytes(header));
        _stream.Write(nameBytes);
        Pad();
        _stream.Write(content);
        Pad();
    }

    // Headers and contents start at multiples of four.
    private void Pad()
    {
        while (_stream.Position % 4 != 0)
        {
            _stream.WriteByte(0);
        }
    }
}

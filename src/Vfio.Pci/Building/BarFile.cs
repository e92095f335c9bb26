using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Pci;

/// <summary>The memfd behind the shared memory of a BAR: one for all areas of it. Guarded by the device's state lock.</summary>
internal sealed class BarFile : IDisposable
{
    private readonly string _name;
    private readonly ulong _size;
    private MemFd _file;

    /// <exception cref="LinuxException">The system has no memory or descriptor left.</exception>
    public BarFile(string name, ulong size)
    {
        _name = name;
        _size = size;
        TryCreate(out MemFd? file).ThrowIfError($"share the BAR memory '{name}'");
        _file = file!;
    }

    /// <summary>The memories that lie in the file; it is closed when the last has left.</summary>
    public List<BarMemory> Members { get; } = [];

    /// <summary>Whether the descriptor was given away, so that somebody may have the file mapped.</summary>
    public bool IsShared { get; set; }

    public FileDescriptor Descriptor => _file.Descriptor;

    public Errno TryMap(ulong offset, ulong length, out MemoryMapping? mapping) => TryMap(_file, offset, length, out mapping);

    /// <summary>Puts a new file of zeros in the place of the old one, for all members.</summary>
    /// <returns><see cref="Errno.None"/>; otherwise everything is as it was.</returns>
    public Errno Replace()
    {
        Errno error = TryCreate(out MemFd? file);
        if (error != Errno.None)
        {
            return error;
        }

        var mappings = new MemoryMapping?[Members.Count];
        for (int i = 0; i < mappings.Length && error == Errno.None; i++)
        {
            error = TryMap(file!, Members[i].FileOffset, Members[i].Size, out mappings[i]);
        }

        if (error != Errno.None)
        {
            foreach (MemoryMapping? mapping in mappings)
            {
                mapping?.Dispose();
            }

            file!.Dispose();
            return error;
        }

        for (int i = 0; i < mappings.Length; i++)
        {
            Members[i].Use(mappings[i]!);
        }

        _file.Dispose();
        _file = file!;
        IsShared = false;
        return Errno.None;
    }

    public void Leave(BarMemory member)
    {
        Members.Remove(member);
        if (Members.Count == 0)
        {
            Dispose();
        }
    }

    public void Dispose() => _file.Dispose();

    private static Errno TryMap(MemFd file, ulong offset, ulong length, out MemoryMapping? mapping)
        => MemoryMapping.TryMap(file.Descriptor, offset, (nuint)length, MemoryProtection.ReadWrite, out mapping);

    private Errno TryCreate(out MemFd? file)
    {
        try
        {
            file = new MemFd(_name, _size);
        }
        catch (LinuxException exception)
        {
            file = null;
            return exception.Errno;
        }

        Errno error = file.TryAddSeals(FileSeals.Shrink | FileSeals.Grow | FileSeals.Seal);
        if (error != Errno.None)
        {
            file.Dispose();
            file = null;
        }

        return error;
    }
}

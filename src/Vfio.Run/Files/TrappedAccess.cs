using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>An address of a program as a place in a device.</summary>
/// <param name="File">The device.</param>
/// <param name="Position">The position in the device's file.</param>
/// <param name="Room">Bytes from there to the end of the mapping.</param>
internal readonly record struct TrappedAccess(OpenFile File, ulong Position, ulong Room)
{
    public bool Holds(int length) => (ulong)length <= Room;

    /// <summary>Reads from the device; each access as wide as alignment and the bus allow.</summary>
    public Errno Read(Span<byte> destination)
    {
        ulong position = Position;
        while (!destination.IsEmpty)
        {
            int width = Width(position, destination.Length);
            IoResult read = File.File.Read(destination[..width], position);
            if (read.IsError || read.Count != width)
            {
                return read.IsError ? read.Error : Errno.EIO;
            }

            destination = destination[width..];
            position += (ulong)width;
        }

        return Errno.None;
    }

    /// <summary>Writes to the device; each access as wide as alignment and the bus allow.</summary>
    public Errno Write(ReadOnlySpan<byte> source)
    {
        ulong position = Position;
        while (!source.IsEmpty)
        {
            int width = Width(position, source.Length);
            IoResult written = File.File.Write(source[..width], position);
            if (written.IsError || written.Count != width)
            {
                return written.IsError ? written.Error : Errno.EIO;
            }

            source = source[width..];
            position += (ulong)width;
        }

        return Errno.None;
    }

    /// <summary>Writes to the device in one access, as a direct store does; how wide it is then is for the device to say.</summary>
    public Errno WriteAtOnce(ReadOnlySpan<byte> source)
    {
        IoResult written = File.File.Write(source, Position);
        return written.IsError ? written.Error : written.Count == source.Length ? Errno.None : Errno.EIO;
    }

    /// <summary>A host bridge makes of a wide access naturally aligned ones of up to eight bytes, in rising order.</summary>
    private static int Width(ulong position, int length)
    {
        int width = 8;
        while (width > length || position % (ulong)width != 0)
        {
            width >>= 1;
        }

        return width;
    }
}

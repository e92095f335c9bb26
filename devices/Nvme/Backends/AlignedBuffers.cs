using Vfio.Linux;

namespace Vfio.Devices.Nvme;

/// <summary>Buffers of one length, aligned for transfers that pass by the page cache. They are made as they are needed, and kept.</summary>
internal sealed class AlignedBuffers
{
    /// <summary>Bytes of a buffer.</summary>
    public const int Length = 64 * 1024;

    /// <summary>Bytes of the alignment: enough for every device there is.</summary>
    public const int Alignment = 4096;

    // A stack of its own: those of the framework allocate a node for each buffer that is given back.
    private readonly Lock _lock = new();
    private readonly Memory<byte>[] _free = new Memory<byte>[32];
    private int _count;

    /// <summary>Makes an aligned buffer that is never moved.</summary>
    public static Memory<byte> Make(int length) => AlignedMemory.Make(length, Alignment);

    /// <summary>Takes a buffer.</summary>
    public Memory<byte> Rent()
    {
        lock (_lock)
        {
            if (_count != 0)
            {
                return _free[--_count];
            }
        }

        return Make(Length);
    }

    /// <summary>Gives a buffer back.</summary>
    public void Return(Memory<byte> buffer)
    {
        lock (_lock)
        {
            if (_count != _free.Length)
            {
                _free[_count++] = buffer;
            }
        }
    }
}

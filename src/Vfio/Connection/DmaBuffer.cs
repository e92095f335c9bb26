namespace Vfio;

/// <summary>Memory that a driver shares with its device: <see cref="DmaMemory"/> of its own and the mapping of all of it.</summary>
/// <remarks>Made by <see cref="VfioConnection.AllocateDma"/>. Dispose unmaps it, waits until the device has let go, and frees it.</remarks>
public sealed class DmaBuffer : IDisposable
{
    private readonly DmaMapping _mapping;

    internal DmaBuffer(DmaMemory memory, DmaMapping mapping)
    {
        Memory = memory;
        _mapping = mapping;
    }

    /// <summary>The memory itself, to be mapped for further devices or at further addresses.</summary>
    public DmaMemory Memory { get; }

    /// <summary>The address by which the device reaches the memory.</summary>
    public ulong Iova => _mapping.Iova;

    /// <summary>Length in bytes.</summary>
    public nuint Length => Memory.Length;

    /// <summary>The memory; for buffers of less than 2 GiB.</summary>
    public Span<byte> Span => Memory.Span;

    /// <summary>A part of the memory.</summary>
    /// <param name="offset">Where it starts, in bytes.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <returns>The part.</returns>
    public Span<byte> Slice(nuint offset, int length) => Memory.Slice(offset, length);

    /// <summary>Unmaps and frees the memory. When the unmap fails, the memory is kept until the connection ends: the device may still use it.</summary>
    public void Dispose()
    {
        _mapping.Dispose();
        Memory.Dispose();
    }
}

using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

/// <summary>A range of this process's addresses, as given to IOAS_MAP: nothing is checked until it is used, and a bad address is EFAULT.</summary>
public sealed class ProcessMemorySource : MemorySource
{
    private readonly nuint _address;

    /// <summary>Shows a range of addresses.</summary>
    /// <param name="address">First address.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="writable">Whether writes are allowed.</param>
    public ProcessMemorySource(nuint address, ulong length, bool writable)
    {
        _address = address;
        Length = length;
        IsWritable = writable;
    }

    /// <inheritdoc/>
    public override ulong Length { get; }

    /// <inheritdoc/>
    public override bool IsWritable { get; }

    /// <inheritdoc/>
    public override string Kind => "process";

    /// <inheritdoc/>
    public override Errno Read(ulong offset, Span<byte> destination) => ProcessMemory.TryRead(_address + (nuint)offset, destination);

    /// <inheritdoc/>
    public override Errno Write(ulong offset, ReadOnlySpan<byte> source) => ProcessMemory.TryWrite(_address + (nuint)offset, source);

    /// <inheritdoc/>
    protected override void Release()
    {
    }
}

using Vfio.Abi;
using Vfio.Linux;

namespace Vfio;

/// <summary>The memory of this process, for callers of ioctls that are in it. A bad address is EFAULT and never a fault.</summary>
public sealed class ProcessUserMemory : IUserMemory
{
    /// <inheritdoc/>
    public Errno Read(ulong address, Span<byte> destination) => ProcessMemory.TryRead((nuint)address, destination);

    /// <inheritdoc/>
    public Errno Write(ulong address, ReadOnlySpan<byte> source) => ProcessMemory.TryWrite((nuint)address, source);
}

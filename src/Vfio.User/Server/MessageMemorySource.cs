using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.User;

/// <summary>Memory of a client that gave no descriptor for it: every transfer is a message to the client and its answer.</summary>
/// <param name="channel">The way to the client.</param>
/// <param name="address">The client's address of the first byte.</param>
/// <param name="length">Length in bytes.</param>
internal sealed class MessageMemorySource(ServerConnection.ReverseChannel channel, ulong address, ulong length) : MemorySource
{
    /// <inheritdoc/>
    public override ulong Length => length;

    /// <inheritdoc/>
    public override bool IsWritable => true;

    /// <inheritdoc/>
    public override string Kind => "message";

    /// <inheritdoc/>
    public override Errno Read(ulong offset, Span<byte> destination) => channel.Read(address + offset, destination);

    /// <inheritdoc/>
    public override Errno Write(ulong offset, ReadOnlySpan<byte> source) => channel.Write(address + offset, source);

    /// <inheritdoc/>
    public override bool HelpTransfers() => channel.Help();

    /// <inheritdoc/>
    protected override void Release()
    {
    }
}

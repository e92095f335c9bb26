using Vfio.Abi;

namespace Vfio.Devices.Nvme;

/// <summary>Blocks on an NBD server: nbdkit, qemu-nbd and what is behind them (Ceph, qcow2 images, other machines).</summary>
internal sealed class NbdBackend : INvmeBackend, IReportingBackend
{
    /// <summary>What is cleared by one request: long requests of servers that write the zeros would look like lost ones.</summary>
    private const uint MaxClear = 32 << 20;

    private static readonly byte[] s_zeros = new byte[AlignedBuffers.Length];
    private readonly NbdClient _client;
    private readonly int _maxPiece;

    private NbdBackend(NbdClient client, bool isReadOnly)
    {
        _client = client;
        _maxPiece = (int)(Math.Min(AlignedBuffers.Length, client.Export.MaximumPayload) / client.Export.MinimumBlock * client.Export.MinimumBlock);
        IsReadOnly = isReadOnly || client.Export.Has(NbdProtocol.ReadOnly);
    }

    /// <inheritdoc/>
    public ulong Length => _client.Export.Length;

    /// <inheritdoc/>
    public bool MayWait => true;

    /// <inheritdoc/>
    public bool IsRemote => true;

    /// <inheritdoc/>
    public bool HasVolatileCache => !IsReadOnly && _client.IsCached;

    /// <inheritdoc/>
    public bool IsReadOnly { get; }

    /// <inheritdoc/>
    public bool IsDegraded => _client.IsDegraded;

    /// <inheritdoc/>
    public Action<string>? Report
    {
        get => _client.Report;
        set => _client.Report = value;
    }

    /// <summary>Connects to an export, for ranges of any alignment.</summary>
    /// <exception cref="IOException">The server cannot be reached, or offers nothing of use.</exception>
    public static INvmeBackend Open(NbdAddress address)
    {
        var client = NbdClient.Connect(address);
        var backend = new NbdBackend(client, address.IsReadOnly);
        return client.Export.MinimumBlock == 1 ? backend : new AlignedBackend(backend, client.Export.MinimumBlock);
    }

    /// <inheritdoc/>
    public Errno Read(ulong offset, Span<byte> destination)
    {
        Errno error = Errno.None;
        while (!destination.IsEmpty && error == Errno.None)
        {
            Span<byte> piece = destination[..Math.Min(destination.Length, _maxPiece)];
            error = _client.Execute(NbdCommand.Read, offset, (uint)piece.Length, default, piece);
            offset += (ulong)piece.Length;
            destination = destination[piece.Length..];
        }

        return error;
    }

    /// <inheritdoc/>
    public Errno Write(ulong offset, ReadOnlySpan<byte> source)
    {
        Errno error = Errno.None;
        while (!source.IsEmpty && error == Errno.None)
        {
            ReadOnlySpan<byte> piece = source[..Math.Min(source.Length, _maxPiece)];
            error = _client.Execute(NbdCommand.Write, offset, (uint)piece.Length, piece, default);
            offset += (ulong)piece.Length;
            source = source[piece.Length..];
        }

        return error;
    }

    /// <inheritdoc/>
    public Errno Flush() => HasVolatileCache ? _client.Gate.Flush() : Errno.None;

    /// <inheritdoc/>
    /// <remarks>NBD_CMD_WRITE_ZEROES, with which servers make holes; NBD_CMD_TRIM does not say what is read afterwards.</remarks>
    public Errno Clear(ulong offset, ulong length)
    {
        bool writes = !_client.Export.Has(NbdProtocol.SendWriteZeroes);
        Errno error = Errno.None;
        while (length != 0 && error == Errno.None)
        {
            uint piece = (uint)Math.Min(length, writes ? (uint)_maxPiece : MaxClear);
            error = writes ? Write(offset, s_zeros.AsSpan(0, (int)piece)) : _client.Execute(NbdCommand.WriteZeroes, offset, piece, default, default);
            offset += piece;
            length -= piece;
        }

        return error;
    }

    /// <inheritdoc/>
    public void Dispose() => _client.Dispose();
}

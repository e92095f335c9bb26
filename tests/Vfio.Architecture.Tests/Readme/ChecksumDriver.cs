using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio.Architecture.Tests.Readme;

/// <summary>The driver that docs/driver-author.md walks through.</summary>
// GUIDE
public sealed class ChecksumDriver : IAsyncDisposable
{
    private readonly VfioConnection _connection;
    private readonly InterruptSet _interrupts;
    private readonly DmaBuffer _buffer;

    private ChecksumDriver(VfioConnection connection, InterruptSet interrupts, DmaBuffer buffer)
        => (_connection, _interrupts, _buffer) = (connection, interrupts, buffer);

    public static ChecksumDriver Open(VfioConnection connection)
    {
        uint id = connection.Config.Read32(0x00);
        if (id != 0xC5C5_1234)
        {
            connection.Dispose();
            throw new VfioException(Errno.ENODEV, $"drive {connection.Address} as a checksum engine", $"It is {id & 0xFFFF:x4}:{id >> 16:x4}.");
        }

        connection.Reset();
        connection.Config.Write16(0x04, 0x0006);   // memory decoding, bus mastering
        return new ChecksumDriver(connection, connection.EnableInterrupts(PciInterrupt.Msi), connection.AllocateDma(4096, DmaAccess.Read));
    }

    public async Task<uint> SumAsync(ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        data.Span.CopyTo(_buffer.Span);
        _connection.Bar(0).Write64(0x00, _buffer.Iova);
        _connection.Bar(0).Write32(0x08, (uint)data.Length);
        await _interrupts[0].WaitAsync(cancellationToken);
        return _connection.Bar(0).Read32(0x0C);
    }

    public async ValueTask DisposeAsync()
    {
        _interrupts.Dispose();   // no interrupt comes after this
        _buffer.Dispose();       // the device's DMA ends with its memory
        await _connection.DisposeAsync();
    }
}
// END

using Vfio.Linux;

namespace Vfio.Iommu.Testing;

/// <summary>A dma-buf that is plain memory, and revoked by a command.</summary>
internal sealed class MockDmaBuf(MemFd memory) : DmaBufFile([new MappableMemory(memory.Descriptor, 0, memory.Size)], revoked: false)
{
    public void Revoke(bool revoked) => SetRevoked(revoked);

    protected override void Close()
    {
        SetRevoked(true);
        memory.Dispose();
    }
}

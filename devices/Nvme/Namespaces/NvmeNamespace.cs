using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Vfio.Devices.Nvme;

/// <summary>A namespace: blocks with an identity (NVMe Base 2.0 §3.2).</summary>
internal sealed class NvmeNamespace : IDisposable
{
    public NvmeNamespace(uint id, int blockSize, INvmeBackend backend, string serial)
    {
        Id = id;
        BlockShift = int.Log2(blockSize);
        Backend = backend;
        Blocks = backend.Length >> BlockShift;

        // The identity is the same at every start, and another for each serial number and namespace.
        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes($"{serial}/{id}"));
        Nguid = hash.AsSpan(0, 16).ToArray();
        Uuid = hash.AsSpan(16, 16).ToArray();
        Uuid[6] = (byte)((Uuid[6] & 0x0F) | 0x80);
        Uuid[8] = (byte)((Uuid[8] & 0x3F) | 0x80);
        Eui64 = BinaryPrimitives.ReadUInt64BigEndian(hash);
    }

    /// <summary>NSID, from 1.</summary>
    public uint Id { get; }

    /// <summary>Logarithm of the bytes of a block.</summary>
    public int BlockShift { get; }

    /// <summary>Number of blocks.</summary>
    public ulong Blocks { get; }

    public INvmeBackend Backend { get; }

    /// <summary>Serialises fused pairs with other writers.</summary>
    public WriterGate Writers { get; } = new();

    public byte[] Nguid { get; }

    /// <summary>A version 8 UUID, in network byte order.</summary>
    public byte[] Uuid { get; }

    public ulong Eui64 { get; }

    public void Dispose() => Backend.Dispose();
}

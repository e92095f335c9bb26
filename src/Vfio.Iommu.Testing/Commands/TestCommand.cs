using System.Runtime.InteropServices;

namespace Vfio.Iommu.Testing;

/// <summary>The structure of all operations: what each takes and answers lies at offset 16 (<c>iommu_test_cmd</c>).</summary>
[StructLayout(LayoutKind.Explicit, Size = 72)]
internal struct TestCommand
{
    [FieldOffset(0)]
    public uint Size;

    [FieldOffset(4)]
    public TestOperation Operation;

    /// <summary>The object that it is about; for accesses their descriptor.</summary>
    [FieldOffset(8)]
    public uint Id;

    [FieldOffset(16)]
    public SpanArguments Span;

    [FieldOffset(16)]
    public DeviceArguments Device;

    [FieldOffset(16)]
    public CheckMapArguments CheckMap;

    [FieldOffset(16)]
    public ReferenceArguments References;

    [FieldOffset(16)]
    public CreateAccessArguments CreateAccess;

    /// <summary>The number of what <see cref="Pages"/> pinned.</summary>
    [FieldOffset(16)]
    public uint Item;

    [FieldOffset(16)]
    public PagesArguments Pages;

    [FieldOffset(16)]
    public CopyArguments Copy;

    /// <summary>Bytes.</summary>
    [FieldOffset(16)]
    public uint MemoryLimit;

    /// <summary>The address space or page table to move to.</summary>
    [FieldOffset(16)]
    public uint Target;

    [FieldOffset(16)]
    public DirtyArguments Dirty;

    /// <summary>A word of a cache and what it should be.</summary>
    [FieldOffset(16)]
    public WordArguments Word;

    [FieldOffset(16)]
    public FaultArguments Fault;

    /// <summary>The bound device that an event comes from.</summary>
    [FieldOffset(16)]
    public uint EventDevice;

    [FieldOffset(16)]
    public PasidArguments Pasid;

    [FieldOffset(16)]
    public BufferArguments Buffer;

    [FieldOffset(16)]
    public RevokeArguments Revoke;
}

/// <summary>I/O addresses.</summary>
internal struct SpanArguments
{
    public ulong Start;
    public ulong Length;
}

/// <summary>What became of a new device.</summary>
internal struct DeviceArguments
{
    public uint MockId;
    public uint PageTableId;
    public uint DeviceId;
    public MockDeviceFlags Flags;
}

[Flags]
internal enum MockDeviceFlags : uint
{
    None = 0,
    NoDirtyTracking = 1,
    Pasids = 4,
}

internal struct CheckMapArguments
{
    public ulong Iova;
    public ulong Length;
    public ulong Address;
}

internal struct ReferenceArguments
{
    public ulong Length;
    public ulong Address;
    public uint References;
}

internal struct CreateAccessArguments
{
    public int Descriptor;
    public uint Flags;
}

internal struct PagesArguments
{
    public uint Flags;
    public uint Item;
    public ulong Iova;
    public ulong Length;
    public ulong Address;
}

internal struct CopyArguments
{
    public ulong Iova;
    public ulong Length;
    public ulong Address;
    public uint Flags;
}

internal struct DirtyArguments
{
    public uint Flags;
    public ulong Iova;
    public ulong Length;
    public ulong PageSize;
    public ulong Address;
    public ulong Count;
}

internal struct WordArguments
{
    public uint Index;
    public uint Value;
}

internal struct FaultArguments
{
    public uint DeviceId;
    public uint Pasid;
    public uint GroupId;
    public uint Permissions;
    public ulong Address;
}

internal struct PasidArguments
{
    public uint Pasid;
    public uint Target;
}

internal struct BufferArguments
{
    public uint Length;
    public uint OpenFlags;
}

internal struct RevokeArguments
{
    public int Descriptor;
    public uint IsRevoked;
}

namespace Vfio.Devices.Dsa;

/// <summary>Operations (DSA 1.0 §8.3).</summary>
internal enum DsaOpcode : byte
{
    Nop = 0,
    Batch = 1,
    Drain = 2,
    MemoryMove = 3,
    Fill = 4,
    Compare = 5,
    ComparePattern = 6,
    CreateDelta = 7,
    ApplyDelta = 8,
    Dualcast = 9,
    CrcGeneration = 0x10,
    CopyWithCrc = 0x11,
    CacheFlush = 0x20,
}

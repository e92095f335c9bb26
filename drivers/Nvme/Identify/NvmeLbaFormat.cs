namespace Vfio.Drivers.Nvme;

/// <summary>A format of logical blocks (LBAF; NVM Command Set 1.0 figure 98).</summary>
/// <param name="DataShift">Bytes of a block, as a power of two (LBADS); 0: the format is not available.</param>
/// <param name="MetadataSize">Bytes of metadata of each block (MS).</param>
/// <param name="RelativePerformance">0 best to 3 degraded (RP).</param>
public readonly record struct NvmeLbaFormat(byte DataShift, ushort MetadataSize, byte RelativePerformance)
{
    /// <summary>Bytes of a block; 0 for a format that is not available or not plausible.</summary>
    public int BlockSize => DataShift is >= 9 and <= 16 ? 1 << DataShift : 0;
}

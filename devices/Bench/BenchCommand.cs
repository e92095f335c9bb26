namespace Vfio.Devices.Bench;

/// <summary>What a write to the command register runs.</summary>
internal enum BenchCommand : uint
{
    LookUpSame = 1,
    LookUpRandom = 2,
    ReadByMessage = 3,
    WriteByMessage = 4,
    ReadMapped = 5,
    OnlyRandom = 6,
}

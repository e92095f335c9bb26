namespace Vfio.Devices.Nvme.Tests.Harness;

/// <summary>A completion entry.</summary>
internal readonly record struct RawCompletion(uint Result, uint Result1, ushort Head, ushort Queue, ushort Cid, ushort StatusField)
{
    /// <summary>Code and type, without More and Do Not Retry.</summary>
    public int Status => (StatusField >> 1) & 0x7FF;
}

namespace Vfio.Devices.Nvme;

/// <summary>I/O command sets by their number, CSI (NVMe Base 2.0 §5.17, figure 274).</summary>
internal static class IoCommandSet
{
    public const byte Nvm = 0;
    public const byte Zoned = 2;

    /// <summary>CC.CSS: all that there are, and not only <see cref="Nvm"/>. The same bit of CAP.CSS says that this can be chosen.</summary>
    public const byte AllSelected = 6;

    /// <summary>The only combination of command sets (Identify 1Ch), which profile 0 chooses.</summary>
    public const ulong Combination = (1UL << Nvm) | (1UL << Zoned);
}

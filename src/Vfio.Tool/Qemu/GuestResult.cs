namespace Vfio.Tool.Qemu;

/// <summary>What a command in the guest came to.</summary>
/// <param name="Status">Its exit status.</param>
/// <param name="Output">Standard output and error together, without the last line end.</param>
public sealed record GuestResult(int Status, string Output);

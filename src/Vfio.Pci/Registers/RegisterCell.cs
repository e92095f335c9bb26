namespace Vfio.Pci;

/// <summary>The content of a plain storage register.</summary>
/// <remarks>Use it with <see cref="VfioPciDevice.StateLock"/> held, as all device state.</remarks>
public sealed class RegisterCell
{
    internal RegisterCell(ulong resetValue)
    {
        ResetValue = resetValue;
        Value = resetValue;
    }

    /// <summary>The current content, zero-extended.</summary>
    public ulong Value { get; set; }

    /// <summary>The content after a reset.</summary>
    public ulong ResetValue { get; }

    /// <summary>The low 32 bits of the content.</summary>
    public uint Value32 => (uint)Value;
}

using System.Globalization;

namespace Vfio.Pci;

/// <summary>
/// Something that answers register accesses in an area of a BAR: a <see cref="RegisterFile"/> that was declared, or code of the
/// device's author.
/// </summary>
/// <remarks>
/// The device splits every access into naturally aligned pieces of 8, 4, 2 or 1 bytes, none wider than <see cref="MaxAccessWidth"/>,
/// and calls the block with <see cref="VfioPciDevice.StateLock"/> held, so that a block never runs concurrently with itself.
/// A block must not throw, and must not wait: DMA belongs into <see cref="DeviceWork"/>.
/// </remarks>
public abstract class RegisterBlock
{
    private readonly string _name;

    /// <summary>Creates a block.</summary>
    /// <param name="name">Its name in logs and documentation.</param>
    /// <param name="size">Its extent in bytes, not zero.</param>
    protected RegisterBlock(string name, ulong size)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentOutOfRangeException.ThrowIfZero(size);
        _name = name;
        Size = size;
    }

    /// <summary>For a <see cref="RegisterFile"/>, whose name and extent are those of its declaration.</summary>
    private protected RegisterBlock() => _name = "";

    /// <summary>The block's name in logs and documentation.</summary>
    public virtual string Name => _name;

    /// <summary>The block's extent in bytes.</summary>
    public virtual ulong Size { get; }

    /// <summary>The widest access that the block takes in one call, in bytes: 1, 2, 4 or 8. Wider ones arrive in pieces, lowest address first.</summary>
    public virtual int MaxAccessWidth => 8;

    /// <summary>The device that the block is a part of, once it is declared in one: it writes the block's log lines.</summary>
    internal VfioPciDevice? Owner { get; set; }

    /// <summary>Reads.</summary>
    /// <param name="offset">Offset in the block, a multiple of <paramref name="width"/> and below <see cref="Size"/>.</param>
    /// <param name="width">1, 2, 4 or 8 bytes.</param>
    /// <param name="value">The value, zero-extended; ignored unless the result is <see cref="AccessResult.Ok"/>.</param>
    /// <returns>How it went.</returns>
    public abstract AccessResult Read(ulong offset, int width, out ulong value);

    /// <summary>Writes.</summary>
    /// <param name="offset">Offset in the block, a multiple of <paramref name="width"/> and below <see cref="Size"/>.</param>
    /// <param name="width">1, 2, 4 or 8 bytes.</param>
    /// <param name="value">The value, zero-extended.</param>
    /// <returns>How it went.</returns>
    public abstract AccessResult Write(ulong offset, int width, ulong value);

    /// <summary>Returns the block to its reset state. Called before <see cref="VfioPciDevice.OnReset"/>, with the state lock held.</summary>
    /// <param name="kind">What caused the reset.</param>
    public virtual void Reset(ResetKind kind)
    {
    }

    /// <summary>Names what is at an offset, for logs.</summary>
    /// <param name="offset">Offset in the block.</param>
    /// <returns>The register's name, or null when nothing is known.</returns>
    public virtual string? Describe(ulong offset) => null;

    /// <summary>Names what is at an offset and says what a value means there, for logs and traces. Allocates.</summary>
    /// <param name="offset">Offset in the block.</param>
    /// <param name="value">The value that was read or is written there, zero-extended.</param>
    /// <returns>For example <c>CC = 0x00460001 (EN=1, IOSQES=6, IOCQES=4)</c>.</returns>
    public virtual string Describe(ulong offset, ulong value)
        => string.Create(CultureInfo.InvariantCulture, $"{Describe(offset) ?? Name} = 0x{value:X}");

    /// <summary>Mistakes in the block's declaration; the device's builder reports them together with its own.</summary>
    /// <param name="mistakes">Receives one sentence for each mistake.</param>
    protected internal virtual void Validate(ICollection<string> mistakes)
    {
    }
}

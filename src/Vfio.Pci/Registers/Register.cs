namespace Vfio.Pci;

/// <summary>One register, or an array of equal ones, of a <see cref="RegisterMap"/>.</summary>
internal sealed class Register
{
    public required ulong Offset { get; init; }

    public required int Width { get; init; }

    public required string Name { get; init; }

    public required RegisterAccess Access { get; init; }

    public int Count { get; init; } = 1;

    public ulong Stride { get; init; }

    public RegisterWidths Widths { get; init; }

    public NarrowAccess Narrow { get; init; }

    public string Description { get; init; } = "";

    public ulong WriteMask { get; init; } = ulong.MaxValue;

    public RegisterCell? Cell { get; init; }

    public Func<int, ulong>? ReadValue { get; init; }

    public Action<int, ulong>? WriteValue { get; init; }

    /// <summary>First byte behind the last element.</summary>
    public UInt128 End => Offset + ((UInt128)Stride * (UInt128)(Count - 1)) + (UInt128)Width;
}

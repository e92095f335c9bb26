namespace Vfio.Pci;

/// <summary>What was declared of a register, an array of equal ones, or a reserved area of a <see cref="RegisterFile"/>.</summary>
public sealed class RegisterInfo
{
    /// <summary>The datasheet's name.</summary>
    public required string Name { get; init; }

    /// <summary>Offset in the block in bytes; of the first, for an array.</summary>
    public required ulong Offset { get; init; }

    /// <summary>Width in bytes: 1, 2, 4 or 8.</summary>
    public required int Width { get; init; }

    /// <summary>What accesses do; fields may say otherwise for their bits.</summary>
    public required RegisterAccess Access { get; init; }

    /// <summary>Whether software can read anything of it.</summary>
    public bool CanRead { get; init; }

    /// <summary>Whether software can change anything of it.</summary>
    public bool CanWrite { get; init; }

    /// <summary>How many there are; 1 unless it is an array. Bytes, for a reserved area.</summary>
    public int Count { get; init; } = 1;

    /// <summary>Distance of the registers of an array in bytes.</summary>
    public ulong Stride { get; init; }

    /// <summary>Access widths besides its own.</summary>
    public RegisterWidths Widths { get; init; }

    /// <summary>What a narrower access means.</summary>
    public NarrowAccess Narrow { get; init; }

    /// <summary>The bits that exist.</summary>
    public ulong Mask { get; init; }

    /// <summary>Content after a reset.</summary>
    public ulong Reset { get; init; }

    /// <summary>The first version of the saved state that has it; 0 when it is not part of the state, since it never changes.</summary>
    public int Since { get; init; }

    /// <summary>Its fields, from the lowest bit.</summary>
    public IReadOnlyList<RegisterFieldInfo> Fields { get; init; } = [];
}

namespace Vfio.Run;

/// <summary>What chooses the elements that an instruction accesses.</summary>
internal enum MaskKind
{
    /// <summary>Nothing: all of the operand.</summary>
    None,

    /// <summary>A bit for each element in an opmask register.</summary>
    OpMask,

    /// <summary>An opmask register, whose number of ones is the number of elements, from the first one.</summary>
    OpMaskCount,

    /// <summary>The sign of each element of a vector register.</summary>
    Signs,

    /// <summary>The sign of each byte of an MMX register.</summary>
    SignsOfMmx,
}

using System.Runtime.InteropServices;

namespace Vfio.Linux;

/// <summary>The signal a traced thread stopped for: the head of <c>siginfo_t</c>.</summary>
[StructLayout(LayoutKind.Explicit, Size = 128)]
public readonly struct TraceSignal
{
    [FieldOffset(0)]
    private readonly int _number;

    [FieldOffset(8)]
    private readonly int _code;

    [FieldOffset(16)]
    private readonly ulong _address;

    /// <summary>The signal's number.</summary>
    public int Number => _number;

    /// <summary>Its <c>si_code</c>: positive when the kernel raised it.</summary>
    public int Code => _code;

    /// <summary>For a fault, the address that was accessed.</summary>
    public ulong Address => _address;
}

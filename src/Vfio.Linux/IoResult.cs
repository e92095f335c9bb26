using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>
/// The answer of an operation that Linux would give as one signed number: zero or more when it succeeded, the negated
/// <see cref="Errno"/> when it failed. A value type, so that answering a peer never allocates.
/// </summary>
public readonly struct IoResult : IEquatable<IoResult>
{
    private readonly long _raw;

    private IoResult(long raw)
    {
        _raw = raw;
    }

    /// <summary>True when the operation failed; <see cref="Error"/> then says why.</summary>
    public bool IsError => _raw < 0;

    /// <summary>The error, or <see cref="Errno.None"/> after success.</summary>
    public Errno Error => _raw < 0 ? (Errno)(-_raw) : Errno.None;

    /// <summary>The raw number: the result of a success, the negated error number of a failure.</summary>
    public long Value => _raw;

    /// <summary>The result as a number of bytes or items: 0 after a failure, <see cref="int.MaxValue"/> if it is larger.</summary>
    public int Count => _raw < 0 ? 0 : (int)Math.Min(_raw, int.MaxValue);

    /// <summary>A success with the given result, which must not be negative.</summary>
    public static IoResult Success(long value = 0)
    {
        System.Diagnostics.Debug.Assert(value >= 0, "A success carries no negative value.");
        return new IoResult(value);
    }

    /// <summary>A failure; <see cref="Errno.None"/> gives a success with 0.</summary>
    public static IoResult FromErrno(Errno error) => new(-(long)(int)error);

    /// <summary>Lets a method that answers with <see cref="IoResult"/> return an error number directly.</summary>
    public static implicit operator IoResult(Errno error) => FromErrno(error);

    /// <summary>True when both are the same success or the same failure.</summary>
    public static bool operator ==(IoResult left, IoResult right) => left._raw == right._raw;

    /// <summary>True when the two differ.</summary>
    public static bool operator !=(IoResult left, IoResult right) => left._raw != right._raw;

    /// <inheritdoc/>
    public bool Equals(IoResult other) => _raw == other._raw;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is IoResult other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => _raw.GetHashCode();

    /// <summary>The number of a success, or the error's name, as <c>EINVAL</c>.</summary>
    public override string ToString() => IsError ? Error.GetName() : _raw.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

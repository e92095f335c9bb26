using System.Globalization;
using Vfio.Abi;

namespace Vfio.Pci;

/// <summary>How restoring registers went. Made without an allocation; the message is made when it is asked for.</summary>
public readonly struct RegisterRestoreResult : IEquatable<RegisterRestoreResult>
{
    private readonly RegisterFile? _file;
    private readonly RegisterStateProblem _problem;
    private readonly int _register;
    private readonly ulong _found;
    private readonly ulong _expected;

    internal RegisterRestoreResult(RegisterFile file, RegisterStateProblem problem, ulong found, ulong expected, int register = -1)
    {
        _file = file;
        _problem = problem;
        _found = found;
        _expected = expected;
        _register = register;
    }

    /// <summary>
    /// <see cref="Errno.None"/>; <see cref="Errno.EPROTONOSUPPORT"/> for a state of a version that this model does not know;
    /// <see cref="Errno.EINVAL"/> for anything else that is not a state of these registers.
    /// </summary>
    public Errno Error => _problem switch
    {
        RegisterStateProblem.None => Errno.None,
        RegisterStateProblem.UnknownFormat or RegisterStateProblem.UnknownVersion => Errno.EPROTONOSUPPORT,
        _ => Errno.EINVAL,
    };

    /// <summary>Compares.</summary>
    /// <param name="left">One.</param>
    /// <param name="right">The other.</param>
    /// <returns>Whether they are equal.</returns>
    public static bool operator ==(RegisterRestoreResult left, RegisterRestoreResult right) => left.Equals(right);

    /// <summary>Compares.</summary>
    /// <param name="left">One.</param>
    /// <param name="right">The other.</param>
    /// <returns>Whether they differ.</returns>
    public static bool operator !=(RegisterRestoreResult left, RegisterRestoreResult right) => !left.Equals(right);

    /// <inheritdoc/>
    public bool Equals(RegisterRestoreResult other) => ReferenceEquals(_file, other._file) && _problem == other._problem
        && _register == other._register && _found == other._found && _expected == other._expected;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is RegisterRestoreResult other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(_file, _problem, _register, _found, _expected);

    /// <summary>Says what was wrong, what was expected and what to do.</summary>
    /// <returns>One sentence.</returns>
    public override string ToString()
    {
        string name = _file?.Name ?? "";
        string register = _file is not null && _register >= 0 ? _file.Layout[_register].Name : "";
        return _problem switch
        {
            RegisterStateProblem.None => "Restored.",
            RegisterStateProblem.UnknownFormat => Text($"The state of block '{name}' has the form {_found}; this library knows {_expected}. Restore it with the library that saved it, or a newer one."),
            RegisterStateProblem.UnknownVersion => Text($"The state of block '{name}' is of version {_found}; this model knows 1 to {_expected}. Restore it with the model that saved it, or a newer one."),
            RegisterStateProblem.Length => Text($"The state of block '{name}' has {_found} bytes; {_expected} are expected. It was cut, or is not a state of this block."),
            RegisterStateProblem.Register => Text($"The state of block '{name}' has a register at 0x{_found:X} where '{register}' at 0x{_expected:X} is expected. It is of another model."),
            RegisterStateProblem.Shape => Text($"The state of block '{name}' has another width or count for '{register}' (0x{_found:X}, 0x{_expected:X} expected). It is of another model."),
            _ => Text($"The state of block '{name}' has bits of '{register}' that do not exist (0x{_found:X}; 0x{_expected:X} do). It is damaged, or of another model."),
        };

        static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
    }
}

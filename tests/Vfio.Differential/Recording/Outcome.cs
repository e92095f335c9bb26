using Vfio.Linux;

namespace Vfio.Differential;

/// <summary>What a command answered.</summary>
/// <typeparam name="T">Its structure.</typeparam>
/// <param name="Result">The result.</param>
/// <param name="Argument">The structure afterwards.</param>
internal readonly record struct Outcome<T>(IoResult Result, T Argument)
    where T : unmanaged
{
    /// <summary>Whether it succeeded.</summary>
    public bool Succeeded => !Result.IsError;
}

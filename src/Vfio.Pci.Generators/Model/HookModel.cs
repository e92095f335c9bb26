namespace Vfio.Pci.Generators.Model;

/// <summary>A method of the author's that runs around an access.</summary>
/// <param name="Method">Its name.</param>
/// <param name="Values">How many of the values that it is offered it takes.</param>
internal sealed record HookModel(string Method, int Values);

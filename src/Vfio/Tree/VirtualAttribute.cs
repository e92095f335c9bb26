using Vfio.Linux;

namespace Vfio;

/// <summary>A file that holds one value.</summary>
/// <param name="Name">Its name in its directory.</param>
/// <param name="Read">Gives the whole content; null for a write-only attribute.</param>
/// <param name="Write">
/// Takes what was written and answers with the number of bytes taken, or an errno; null for a read-only attribute. May take long: a removal
/// waits for users.
/// </param>
public sealed record VirtualAttribute(string Name, Func<string>? Read, Func<string, Task<IoResult>>? Write = null) : VirtualNode(Name);

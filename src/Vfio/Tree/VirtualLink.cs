namespace Vfio;

/// <summary>A symbolic link.</summary>
/// <param name="Name">Its name in its directory.</param>
/// <param name="Target">The path of what it links to, from the tree's root.</param>
public sealed record VirtualLink(string Name, string Target) : VirtualNode(Name);

namespace Vfio;

/// <summary>A directory, whose content is asked for each time it is looked at.</summary>
/// <param name="Name">Its name in its directory; empty for a root.</param>
/// <param name="List">Makes the nodes in it, each name once.</param>
public sealed record VirtualDirectory(string Name, Func<IEnumerable<VirtualNode>> List) : VirtualNode(Name), IVirtualTree
{
    /// <inheritdoc/>
    public VirtualNode? Find(string path)
    {
        VirtualNode? node = this;
        foreach (string name in path.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            node = (node as VirtualDirectory)?.List().FirstOrDefault(child => child.Name == name);
        }

        return node;
    }
}

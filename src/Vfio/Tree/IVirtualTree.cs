namespace Vfio;

/// <summary>A tree of directories, attributes and links, as sysfs shows one; made of live objects, for whoever presents it (a mount, a tool).</summary>
/// <remarks>Paths are relative to the tree's root, with single slashes and without one at either end; the root is the empty path.</remarks>
public interface IVirtualTree
{
    /// <summary>Finds what a path names.</summary>
    /// <param name="path">The path; links are not followed.</param>
    /// <returns>The node, or null when there is none now.</returns>
    VirtualNode? Find(string path);
}

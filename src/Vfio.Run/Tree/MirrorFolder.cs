namespace Vfio.Run;

/// <summary>A folder in which directories of the tree are made when programs open them, so that they can be listed.</summary>
/// <remarks>The path of a directory there is its path in the tree behind the folder's, by which descriptors of directories are recognised.</remarks>
internal sealed class MirrorFolder(DirectoryInfo folder)
{
    private readonly Lock _lock = new();

    public string Root => folder.FullName;

    /// <summary>Makes a directory as it is now.</summary>
    /// <param name="path">Its path in the tree.</param>
    /// <param name="directory">What is in it.</param>
    /// <returns>Where it is.</returns>
    public string Make(string path, VirtualDirectory directory)
    {
        string made = Root + path;
        lock (_lock)
        {
            DirectoryInfo here = Directory.CreateDirectory(made);
            Dictionary<string, VirtualNode> wanted = directory.List().ToDictionary(static node => node.Name, StringComparer.Ordinal);
            foreach (FileSystemInfo entry in here.EnumerateFileSystemInfos())
            {
                if (!wanted.ContainsKey(entry.Name))
                {
                    Remove(entry);
                }
            }

            foreach ((string name, VirtualNode node) in wanted)
            {
                string target = Path.Combine(made, name);
                FileInfo existing = new(target);
                if (existing.Exists || existing.LinkTarget is not null || Directory.Exists(target))
                {
                    continue;
                }

                switch (node)
                {
                    case VirtualDirectory:
                        Directory.CreateDirectory(target);
                        break;
                    case VirtualLink link:
                        File.CreateSymbolicLink(target, ProgramTree.TextOf($"{path}/{name}", link));
                        break;
                    default:
                        File.WriteAllBytes(target, []);
                        break;
                }
            }
        }

        return made;
    }

    /// <summary>The path in the tree of something in the folder; null when it is elsewhere.</summary>
    public string? PathOf(string path)
        => path == Root ? "/" : path.StartsWith(Root + "/", StringComparison.Ordinal) ? path[Root.Length..] : null;

    private static void Remove(FileSystemInfo entry)
    {
        if (entry is DirectoryInfo { LinkTarget: null } folder)
        {
            folder.Delete(recursive: true);
        }
        else
        {
            entry.Delete();
        }
    }
}

namespace Vfio.Run;

/// <summary>Pages in each process that belong to the tracer: one for code and one for data, where instructions are executed on copies of a device's content.</summary>
internal sealed class ProgramPages
{
    /// <summary>Both pages.</summary>
    public const ulong Length = 8192;

    /// <summary>Where the data begins.</summary>
    public const ulong DataOffset = 4096;

    private readonly Dictionary<int, ulong> _pages = [];

    /// <summary>The pages of a process; 0 when it has none.</summary>
    public ulong Find(int process) => _pages.GetValueOrDefault(process);

    public void Note(int process, ulong address) => _pages[process] = address;

    /// <summary>A process that was forked has its parent's pages at the same place.</summary>
    public void Inherit(int parent, int child)
    {
        if (parent != child && _pages.TryGetValue(parent, out ulong address))
        {
            _pages[child] = address;
        }
    }

    /// <summary>The process has executed another program.</summary>
    public void Forget(int process) => _pages.Remove(process);
}

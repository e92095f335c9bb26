using System.Collections.Concurrent;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>A process of the program: its memory, and what its descriptors are.</summary>
internal sealed class SupervisedProcess : IDisposable
{
    private readonly ConcurrentDictionary<int, OpenFile> _files = new();
    private readonly OpenFileTable _table;
    private readonly ProcessDescriptor _descriptor;
    private readonly DescriptorMemoryPolicy _policy;
    private CallerMemory _memory;
    private int _version;

    public SupervisedProcess(int id, ProcessDescriptor descriptor, OpenFileTable table, SupervisedMappings mappings, LockedMemoryAccount user, DescriptorMemoryPolicy policy)
    {
        Account = new ProcessMemoryAccount(user);
        Id = id;
        _descriptor = descriptor;
        _table = table;
        Mappings = mappings;
        _policy = policy;
        _memory = new CallerMemory(this, policy);
        Code = new ProcessMemoryFile(id);
    }

    public int Id { get; }

    public ProcessDescriptor Descriptor => _descriptor;

    /// <summary>What devices have in place of its memory. Without a limit, as nothing is really locked.</summary>
    public ProcessMemoryAccount Account { get; }

    /// <summary>Where it has devices mapped.</summary>
    public SupervisedMappings Mappings { get; }

    /// <summary>What it executes.</summary>
    public ProcessMemoryFile Code { get; }

    /// <summary>Its memory as it is now. After it has executed another program, what was mapped from the one before is gone.</summary>
    public CallerMemory Memory => Volatile.Read(ref _memory);

    /// <summary>The file of ours that a number means; null when it is another's.</summary>
    public OpenFile? Find(int number)
    {
        if (_files.TryGetValue(number, out OpenFile? known) && !known.IsDead)
        {
            return known;
        }

        int version = Volatile.Read(ref _version);
        if (ProcessFiles.TryIdentify(Id, number, out FileIdentity identity) != Errno.None || _table.Find(identity) is not { } found)
        {
            _files.TryRemove(number, out _);
            return null;
        }

        _files[number] = found;
        if (version != Volatile.Read(ref _version))
        {
            // Something was closed meanwhile: it may have been this.
            _files.TryRemove(number, out _);
        }

        return found;
    }

    /// <summary>Whether it has a file of ours open, under whatever number.</summary>
    public bool HoldsFiles() => ProcessFiles.Numbers(Id).Any(number => Find(number) is not null);

    /// <summary>Forgets what a number means: it is about to be closed.</summary>
    public void Forget(int number)
    {
        Interlocked.Increment(ref _version);
        _files.TryRemove(number, out _);
    }

    /// <summary>Forgets what all numbers mean.</summary>
    public void ForgetAll()
    {
        Interlocked.Increment(ref _version);
        _files.Clear();
    }

    /// <summary>It has executed another program: memory of the old one can't be reached any more.</summary>
    public void Executed()
    {
        ForgetAll();
        Mappings.Clear();
        Code.Dispose();
        Interlocked.Exchange(ref _memory, new CallerMemory(this, _policy)).Lose();
    }

    /// <summary>A number in the range that nothing is open at.</summary>
    /// <param name="range">The range.</param>
    /// <param name="least">The least number that will do.</param>
    /// <returns>The number, or -1.</returns>
    public int FindFreeNumber(DescriptorRange range, int least)
    {
        // From below: programs that count on small numbers have the small ones.
        for (int number = Math.Max(range.First, least); number < range.End; number++)
        {
            if (IsFree(number))
            {
                return number;
            }
        }

        return -1;
    }

    /// <summary>The highest number in the range that nothing is open at, for what is the supervisor's own; -1 when there is none.</summary>
    public int FindFreeNumberFromAbove(DescriptorRange range)
    {
        int number = range.End - 1;
        while (number >= range.First && !IsFree(number))
        {
            number--;
        }

        return number >= range.First ? number : -1;
    }

    /// <summary>Notes what a number means that was just given.</summary>
    public void Note(int number, OpenFile file) => _files[number] = file;

    private bool IsFree(int number) => !_files.ContainsKey(number) && ProcessFiles.TryIdentify(Id, number, out _) != Errno.None;

    public void Dispose()
    {
        Memory.Lose();
        Mappings.Clear();
        Code.Dispose();
        _descriptor.Dispose();
    }
}

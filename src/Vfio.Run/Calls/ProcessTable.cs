using System.Collections.Concurrent;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>The processes of the program, by their threads.</summary>
internal sealed class ProcessTable(OpenFileTable files, VfioHost host, DescriptorMemoryPolicy policy) : IDisposable
{
    private readonly ConcurrentDictionary<int, SupervisedProcess> _byThread = new();
    private readonly Dictionary<int, (SupervisedProcess Process, IDisposable Watch)> _processes = [];
    private readonly Lock _lock = new();

    /// <summary>The process of a thread; null when it is gone.</summary>
    public SupervisedProcess? Find(int threadId)
    {
        if (_byThread.TryGetValue(threadId, out SupervisedProcess? known))
        {
            return known;
        }

        int id = ProcessFiles.GetProcessOf(threadId);
        if (id == 0)
        {
            return null;
        }

        lock (_lock)
        {
            if (!_processes.TryGetValue(id, out (SupervisedProcess Process, IDisposable Watch) entry))
            {
                if (ProcessDescriptor.TryOpen(id, out ProcessDescriptor? descriptor) != Errno.None)
                {
                    return null;
                }

                SupervisedProcess process = new(id, descriptor!, files, new SupervisedMappings(id, files), host.Options.LockedMemory, policy);
                entry = (process, host.EventLoop.Register(descriptor!.Descriptor, EventLoopEvents.Read, _ => Remove(process)));
                _processes.Add(id, entry);
            }

            _byThread[threadId] = entry.Process;
            return entry.Process;
        }
    }

    /// <summary>A process that has called before; null for others.</summary>
    public SupervisedProcess? Get(int processId)
    {
        lock (_lock)
        {
            return _processes.TryGetValue(processId, out (SupervisedProcess Process, IDisposable Watch) entry) ? entry.Process : null;
        }
    }

    /// <summary>All processes that have called.</summary>
    public IReadOnlyList<SupervisedProcess> All
    {
        get
        {
            lock (_lock)
            {
                return [.. _processes.Values.Select(static entry => entry.Process)];
            }
        }
    }

    /// <summary>Whether one of them has a file mapped.</summary>
    public bool HasMapped(FileIdentity file) => All.Any(process => process.Mappings.Holds(file));

    public void Dispose()
    {
        (SupervisedProcess Process, IDisposable Watch)[] left;
        lock (_lock)
        {
            left = [.. _processes.Values];
            _processes.Clear();
            _byThread.Clear();
        }

        // Not under the lock: a callback that waits for it would be waited for.
        foreach ((SupervisedProcess process, IDisposable watch) in left)
        {
            watch.Dispose();
            process.Dispose();
        }
    }

    private void Remove(SupervisedProcess process)
    {
        (SupervisedProcess Process, IDisposable Watch) entry;
        lock (_lock)
        {
            if (!_processes.Remove(process.Id, out entry))
            {
                return;
            }

            foreach ((int thread, SupervisedProcess owner) in _byThread)
            {
                if (ReferenceEquals(owner, process))
                {
                    _byThread.TryRemove(thread, out _);
                }
            }
        }

        entry.Watch.Dispose();
        process.Dispose();
    }
}

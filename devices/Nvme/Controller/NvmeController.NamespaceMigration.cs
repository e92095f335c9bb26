using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <content>Namespaces in a saved state: which there are, how they are formatted, and what those in memory hold.</content>
internal sealed partial class NvmeController
{
    private void SaveNamespaces(DeviceStateWriter writer)
    {
        foreach (int generation in _generations)
        {
            writer.WriteUInt32((uint)generation);
        }

        writer.WriteUInt16((ushort)_allocated.Count(static ns => ns is not null));
        foreach (NvmeNamespace? ns in _allocated)
        {
            if (ns is not null)
            {
                NamespaceState.Save(writer, ns, FindNamespace(ns.Id) is not null);
            }
        }

        foreach (NvmeNamespace? ns in _allocated)
        {
            NamespaceState.SaveContent(writer, ns?.Backend);
            NamespaceState.SaveContent(writer, ns?.Metadata);
        }
    }

    /// <summary>Takes namespaces over. Nothing is changed until all of them were looked at. State lock held, nothing runs.</summary>
    private Errno TryRestoreNamespaces(ref DeviceStateReader reader)
    {
        DeviceStateReader generations = reader;
        _ = reader.ReadBytes(sizeof(uint) * MaxNamespaces);
        if (!TryReadNamespaces(ref reader, out List<NamespaceState> states))
        {
            return Errno.EINVAL;
        }

        DeviceStateReader contents = reader;
        Errno error = RestoreContents(ref reader, states, looksOnly: true);
        if (error != Errno.None || reader.Left != 0)
        {
            return Errno.EINVAL;
        }

        error = ReplaceNamespaces(states);
        if (error == Errno.None)
        {
            for (int i = 0; i < _generations.Length; i++)
            {
                _generations[i] = (int)generations.ReadUInt32();
            }

            error = RestoreContents(ref contents, states, looksOnly: false);
        }

        return error;
    }

    /// <summary>Reads the descriptions, and looks whether there is, or can be made, a namespace for each.</summary>
    private bool TryReadNamespaces(ref DeviceStateReader reader, out List<NamespaceState> states)
    {
        states = [];
        ulong sum = 0;
        uint last = 0;
        for (int count = reader.ReadUInt16(); count > 0; count--)
        {
            if (NamespaceState.TryRead(ref reader) is not { } state || state.Id <= last)
            {
                return false;
            }

            bool canBeMade = ManagesNamespaces && state is { IsMemory: true, HasMetadata: true, IsMetadataMemory: true, IsZoned: false };
            if (!(FindAllocated(state.Id) is { } ns && state.Fits(ns)) && !canBeMade)
            {
                return false;
            }

            // Each is at most 2⁶³, and their number is small: the sum is looked at before it can overflow.
            sum += state.Length;
            if (sum > long.MaxValue || (ManagesNamespaces && sum > TotalCapacity))
            {
                return false;
            }

            last = state.Id;
            states.Add(state);
        }

        return !reader.IsBroken;
    }

    private Errno ReplaceNamespaces(List<NamespaceState> states)
    {
        // Those that the other controller does not have, or has others for, go first: they may hold the memory that is needed.
        foreach (NvmeNamespace? ns in _allocated)
        {
            if (ns is not null && !states.Exists(state => state.Id == ns.Id && state.Fits(ns)))
            {
                _ = TryDetach(ns.Id, out _);
                if (TryForget(ns))
                {
                    ns.Release();
                }
            }
        }

        foreach (NamespaceState state in states)
        {
            NvmeNamespace? ns = FindAllocated(state.Id) ?? TryMake(state);
            if (ns is null)
            {
                return Errno.ENOMEM;
            }

            state.Apply(ns);
            lock (_namespaceLock)
            {
                Volatile.Write(ref _attached[ns.Id - 1], state.IsAttached ? ns : null);
            }
        }

        return Errno.None;
    }

    private NvmeNamespace? TryMake(NamespaceState state)
    {
        MemoryBackend? data = MemoryBackend.TryCreate(state.Length);
        MemoryBackend? metadata = MemoryBackend.TryCreate(NvmeNamespace.MetadataOf(state.Length));
        var unreadable = UnreadableBlocks.TryCreate(state.Length);
        if (data is null || metadata is null || unreadable is null)
        {
            data?.Dispose();
            metadata?.Dispose();
            unreadable?.Dispose();
            return null;
        }

        var ns = new NvmeNamespace(state.Id, data, metadata, unreadable, state.Format, MakeLocks(mayWait: false), zones: null, _options.Serial, state.Generation);
        lock (_namespaceLock)
        {
            _taken[ns.Id - 1] = true;
            _allocated[ns.Id - 1] = ns;
            _allocatedBytes += state.Length;
        }

        return ns;
    }

    private Errno RestoreContents(ref DeviceStateReader reader, List<NamespaceState> states, bool looksOnly)
    {
        Errno error = Errno.None;
        foreach (NamespaceState state in states)
        {
            NvmeNamespace? ns = looksOnly ? null : FindAllocated(state.Id);
            if (state.IsMemory && error == Errno.None)
            {
                error = NamespaceState.TryRestoreContent(ref reader, state.Length, ns?.Backend);
            }

            if (state.IsMetadataMemory && error == Errno.None)
            {
                error = NamespaceState.TryRestoreContent(ref reader, NvmeNamespace.MetadataOf(state.Length), ns?.Metadata);
            }
        }

        return error;
    }
}

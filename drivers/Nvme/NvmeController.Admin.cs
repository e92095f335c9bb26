using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.Drivers.Nvme;

/// <content>Admin commands (Base 2.0 §5).</content>
public sealed partial class NvmeController
{
    private const uint AllNamespaces = uint.MaxValue;
    private const int IdentifyLength = 4096;

    private ulong AdminDataIova => (_adminBuffer!.Iova + (1UL << _pageShift) - 1) & ~((1UL << _pageShift) - 1);

    /// <summary>Reads the SMART / health information.</summary>
    /// <returns>The page.</returns>
    /// <exception cref="NvmeException">The command failed, or a reset came in between.</exception>
    public async Task<NvmeSmartLog> GetSmartLogAsync()
        => NvmeSmartLog.Parse(await GetLogPageAsync(0x02, NvmeSmartLog.Length).ConfigureAwait(false));

    /// <summary>Reads the error log, the newest first.</summary>
    /// <param name="maximum">Entries at most, 1 to 64.</param>
    /// <returns>The entries that are used.</returns>
    /// <exception cref="NvmeException">The command failed, or a reset came in between.</exception>
    public async Task<IReadOnlyList<NvmeErrorLogEntry>> GetErrorLogAsync(int maximum = 64)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maximum, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(maximum, 64);
        int count = Math.Min(maximum, Identity.ErrorLogEntries);
        byte[] page = await GetLogPageAsync(0x01, count * NvmeErrorLogEntry.Length).ConfigureAwait(false);
        return [.. Enumerable.Range(0, count).Select(i => NvmeErrorLogEntry.Parse(page.AsSpan(i * NvmeErrorLogEntry.Length))).Where(static entry => entry.Count != 0)];
    }

    /// <summary>Reads a feature's current value.</summary>
    /// <param name="feature">The feature.</param>
    /// <param name="namespaceId">The namespace, for a feature that is a namespace's.</param>
    /// <returns>Its value, as the standard lays it out.</returns>
    /// <exception cref="NvmeException">The controller does not have the feature, or a reset came in between.</exception>
    public async Task<uint> GetFeatureAsync(NvmeFeature feature, uint namespaceId = 0)
        => await ExecuteAsync(new SubmissionEntry { Opcode = AdminOpcode.GetFeatures, NamespaceId = namespaceId, Dword10 = (uint)feature }).ConfigureAwait(false);

    private Task<byte[]> GetLogPageAsync(byte page, int length)
    {
        uint dwords = (uint)(length / sizeof(uint)) - 1;
        return ExecuteWithDataAsync(
            new SubmissionEntry { Opcode = AdminOpcode.GetLogPage, NamespaceId = AllNamespaces, Dword10 = page | (dwords & 0xFFFF) << 16, Dword11 = dwords >> 16 },
            length);
    }

    private Task<byte[]> IdentifyAsync(uint structure, uint namespaceId)
        => ExecuteWithDataAsync(new SubmissionEntry { Opcode = AdminOpcode.Identify, NamespaceId = namespaceId, Dword10 = structure }, IdentifyLength);

    private ValueTask<uint> ExecuteAsync(SubmissionEntry entry)
    {
        QueuePair admin = _queues[0];
        NvmeRequest request = admin.Rent();
        request.Template = entry;
        request.Kind = RequestKind.Command;
        request.IsReplayable = false;
        request.HasData = false;
        request.NextBlock = 0;
        request.RemainingBlocks = 1;
        ValueTask<uint> result = request.AsResultTask();
        admin.Submit(request);
        return result;
    }

    /// <summary>Runs a command that reads up to a page, one at a time.</summary>
    private async Task<byte[]> ExecuteWithDataAsync(SubmissionEntry entry, int length)
    {
        await _adminGate.WaitAsync().ConfigureAwait(false);
        try
        {
            ObjectDisposedException.ThrowIf(_disposed != 0, this);
            nuint offset = (nuint)(AdminDataIova - _adminBuffer!.Iova);

            // What the device does not write is not what an earlier command left.
            _adminBuffer.Slice(offset, IdentifyLength).Clear();
            entry.DataPointer1 = AdminDataIova;
            _ = await ExecuteAsync(entry).ConfigureAwait(false);
            return _adminBuffer.Slice(offset, length).ToArray();
        }
        finally
        {
            _adminGate.Release();
        }
    }

    /// <summary>Asks for I/O queues.</summary>
    /// <returns>How many pairs there may be, at least 1.</returns>
    private async Task<int> RequestQueuesAsync(int wanted)
    {
        uint count = (uint)(wanted - 1);
        uint granted = await ExecuteAsync(
            new SubmissionEntry { Opcode = AdminOpcode.SetFeatures, Dword10 = (uint)NvmeFeature.NumberOfQueues, Dword11 = count << 16 | count }).ConfigureAwait(false);
        return (int)Math.Min(granted & 0xFFFF, granted >> 16) + 1;
    }

    /// <summary>Creates the I/O queues at the controller, and the doorbell buffers when they are to be used.</summary>
    private async Task CreateQueuesAsync(CancellationToken cancellationToken)
    {
        Doorbells doorbells = _doorbells!;
        int page = 1 << _pageShift;
        doorbells.EnableShadow(false);
        if (_options.UseShadowDoorbells && Identity.SupportsDoorbellBuffers && doorbells.ShadowHolds(_queues.Length, page))
        {
            doorbells.PrepareShadow(_connection, page);
            _ = await ExecuteAsync(new SubmissionEntry
            {
                Opcode = AdminOpcode.DoorbellBufferConfig,
                DataPointer1 = doorbells.ShadowIova,
                DataPointer2 = doorbells.EventIndexIova,
            }).ConfigureAwait(false);
            doorbells.EnableShadow(true);
        }

        foreach (QueuePair queue in _queues.Skip(1))
        {
            cancellationToken.ThrowIfCancellationRequested();
            queue.Vector = VectorOf(queue.Id);
            uint size = (uint)(queue.Depth - 1) << 16 | queue.Id;
            _ = await ExecuteAsync(new SubmissionEntry
            {
                Opcode = AdminOpcode.CreateCompletionQueue,
                DataPointer1 = queue.CompletionIova,
                Dword10 = size,
                Dword11 = 1 | (queue.Vector is { } vector ? (uint)vector << 16 | 2 : 0),
            }).ConfigureAwait(false);
            _ = await ExecuteAsync(new SubmissionEntry
            {
                Opcode = AdminOpcode.CreateSubmissionQueue,
                DataPointer1 = queue.SubmissionIova,
                Dword10 = size,
                Dword11 = 1 | (uint)queue.Id << 16,
            }).ConfigureAwait(false);
        }
    }

    private async Task DeleteQueuesAsync()
    {
        try
        {
            foreach (byte opcode in (byte[])[AdminOpcode.DeleteSubmissionQueue, AdminOpcode.DeleteCompletionQueue])
            {
                foreach (QueuePair queue in _queues.Skip(1))
                {
                    _ = await ExecuteAsync(new SubmissionEntry { Opcode = opcode, Dword10 = queue.Id }).ConfigureAwait(false);
                }
            }
        }
        catch (NvmeException)
        {
            // Disabling the controller, which follows, deletes them too.
        }
    }

    /// <summary>Asks the controller to abort a command that is late.</summary>
    private async Task AbortAsync(ushort queue, ushort command)
    {
        // What is beyond the limit stays late, which in the end resets the controller.
        if (Interlocked.Increment(ref _abortsInFlight) <= Math.Max(1, Identity.AbortLimit))
        {
            Interlocked.Increment(ref _aborts);
            NvmeLog.Aborting(_options.Logger, Address, command, queue);
            try
            {
                _ = await ExecuteAsync(new SubmissionEntry { Opcode = AdminOpcode.Abort, Dword10 = queue | (uint)command << 16 }).ConfigureAwait(false);
            }
            catch (NvmeException)
            {
                // The command's own completion or its next time limit decides.
            }
        }

        Interlocked.Decrement(ref _abortsInFlight);
    }

    private async Task FindNamespacesAsync(CancellationToken cancellationToken)
    {
        List<NvmeNamespace> found = [];
        uint last = 0;
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            byte[] page = await IdentifyAsync(IdentifyStructure.ActiveNamespaces, last).ConfigureAwait(false);
            uint[] identifiers = MemoryMarshal.Cast<byte, uint>(page).ToArray();
            int count = identifiers.AsSpan().IndexOf(0u);
            foreach (uint id in identifiers.AsSpan(0, count < 0 ? identifiers.Length : count).ToArray())
            {
                // The list is in ascending order (Base 2.0 §5.17.2.3), which also ends a list that goes in circles.
                if (id <= last || id > 0xFFFFFFFE || found.Count == _options.MaximumNamespaces)
                {
                    NvmeLog.NamespacesCut(_options.Logger, Address, found.Count, found.Count == _options.MaximumNamespaces ? "no more are looked at" : "it is not in ascending order");
                    _namespaces = [.. found];
                    return;
                }

                found.Add(await DescribeNamespaceAsync(id).ConfigureAwait(false));
                last = id;
            }

            if (count >= 0)
            {
                _namespaces = [.. found];
                return;
            }
        }
    }

    private async Task<NvmeNamespace> DescribeNamespaceAsync(uint id)
    {
        NvmeNamespaceDescriptors descriptors = new();
        if (Version >= new Version(1, 3))
        {
            try
            {
                descriptors = NvmeNamespaceDescriptors.Parse(await IdentifyAsync(IdentifyStructure.NamespaceDescriptors, id).ConfigureAwait(false));
            }
            catch (NvmeException exception) when (exception.Status is not null)
            {
                // Optional before 2.0 in practice: a namespace is usable without.
            }
        }

        try
        {
            NvmeNamespaceIdentity identity = NvmeNamespaceIdentity.Parse(await IdentifyAsync(IdentifyStructure.Namespace, id).ConfigureAwait(false));
            return new NvmeNamespace(this, id, identity, descriptors);
        }
        catch (NvmeException exception) when (exception.Status is { } status)
        {
            return new NvmeNamespace(this, id, new NvmeNamespaceIdentity(), descriptors, $"Identify Namespace failed: {status}.");
        }
    }
}

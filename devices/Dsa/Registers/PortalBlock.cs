using System.Buffers.Binary;
using Vfio.Pci;

namespace Vfio.Devices.Dsa;

/// <summary>The portals of the work queues, in BAR 2: four pages for each (DSA 1.0 §3.3). A store of 64 bytes is a descriptor.</summary>
/// <remarks>
/// A direct store arrives in pieces from the lowest address on. Pieces of one descriptor follow each other; a piece that does not fit, or begins anew,
/// forgets what came before.
/// </remarks>
internal sealed class PortalBlock(WorkQueue[] queues) : RegisterBlock("dsa portals", DsaLimits.Queues * DsaLimits.PortalsSize)
{
    private readonly byte[] _store = new byte[DsaLimits.Queues * DsaDescriptor.Length];
    private readonly int[] _filled = new int[DsaLimits.Queues];

    /// <inheritdoc/>
    public override AccessResult Read(ulong offset, int width, out ulong value)
    {
        value = 0;
        return AccessResult.Ok;
    }

    /// <inheritdoc/>
    public override AccessResult Write(ulong offset, int width, ulong value)
    {
        int queue = (int)(offset / DsaLimits.PortalsSize);
        int at = (int)(offset % DsaDescriptor.Length);
        Span<byte> descriptor = _store.AsSpan(queue * DsaDescriptor.Length, DsaDescriptor.Length);
        if (at != 0 && at != _filled[queue])
        {
            _filled[queue] = 0;
            return AccessResult.InvalidAccessSize;
        }

        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        bytes[..width].CopyTo(descriptor[at..]);
        _filled[queue] = at + width;
        if (_filled[queue] == DsaDescriptor.Length)
        {
            _filled[queue] = 0;
            queues[queue].Submit(descriptor);
        }

        return AccessResult.Ok;
    }

    /// <inheritdoc/>
    public override void Reset(ResetKind kind) => Array.Clear(_filled);

    /// <inheritdoc/>
    public override string? Describe(ulong offset) => $"portal of work queue {offset / DsaLimits.PortalsSize}";
}

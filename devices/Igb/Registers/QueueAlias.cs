using Vfio.Pci;

namespace Vfio.Devices.Igb;

/// <summary>The first four queues at their older places: 0x100 bytes for each.</summary>
/// <param name="name">The name in logs.</param>
/// <param name="queues">The queues.</param>
internal sealed class QueueAlias(string name, RegisterFile queues) : RegisterBlock(name, 0x400)
{
    /// <inheritdoc/>
    public override int MaxAccessWidth => 4;

    /// <inheritdoc/>
    public override AccessResult Read(ulong offset, int width, out ulong value)
    {
        if (Translate(offset) is { } real)
        {
            return queues.Read(real, width, out value);
        }

        value = 0;
        return AccessResult.Ok;
    }

    /// <inheritdoc/>
    public override AccessResult Write(ulong offset, int width, ulong value)
        => Translate(offset) is { } real ? queues.Write(real, width, value) : AccessResult.Ok;

    /// <inheritdoc/>
    public override string? Describe(ulong offset) => Translate(offset) is { } real ? queues.Describe(real) : null;

    /// <inheritdoc/>
    public override string Describe(ulong offset, ulong value) => Translate(offset) is { } real ? queues.Describe(real, value) : base.Describe(offset, value);

    private ulong? Translate(ulong offset)
    {
        ulong real = (offset >> 8 << 6) | (offset & 0x3F);
        return (offset & 0xC0) == 0 && queues.Describe(real) is not null ? real : null;
    }
}

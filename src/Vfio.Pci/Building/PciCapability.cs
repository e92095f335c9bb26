namespace Vfio.Pci;

/// <summary>A capability before it is placed.</summary>
internal sealed class PciCapability
{
    private readonly List<(int Offset, int Width, ulong Value, ulong Writable, ulong Clearable, ulong Trigger, ConfigEvents Watch)> _registers = [];

    public required string Name { get; init; }

    public required ushort Id { get; init; }

    public required int Size { get; init; }

    public bool IsExtended { get; init; }

    public int Version { get; init; } = 1;

    /// <summary>Where the author wants it; 0 for anywhere.</summary>
    public int FixedOffset { get; init; }

    /// <summary>Where it lies.</summary>
    public int Offset { get; set; }

    public PciCapability Register(int offset, int width, ulong value, ulong writable = 0, ulong clearable = 0, ulong trigger = 0, ConfigEvents watch = ConfigEvents.None)
    {
        _registers.Add((offset, width, value, writable, clearable, trigger, watch));
        return this;
    }

    public void WriteTo(ConfigSpace config)
    {
        foreach (var r in _registers)
        {
            config.Define(Offset + r.Offset, r.Width, r.Value, r.Writable, r.Clearable, r.Trigger, r.Watch);
        }
    }
}

namespace Vfio.Devices.Nvme;

/// <summary>Settings of an <see cref="NvmeDevice"/>.</summary>
public sealed partial record NvmeOptions
{
    /// <summary>Serial number: 1 to 20 printable ASCII characters. Namespaces derive their identifiers from it.</summary>
    public string Serial { get; init; } = "VFIO0001";

    /// <summary>Model number: 1 to 40 printable ASCII characters.</summary>
    public string Model { get; init; } = "Vfio.NET NVMe Controller";

    /// <summary>Pairs of I/O queues: 1 to 256. There is one MSI-X vector for each, and one for the admin queues.</summary>
    public int Queues { get; init; } = 16;

    /// <summary>Entries of the longest I/O queue: 2 to 65536.</summary>
    public int QueueEntries { get; init; } = 1024;

    /// <summary>The namespaces, from identifier 1; 1 to 256.</summary>
    public IReadOnlyList<NvmeNamespaceOptions> Namespaces { get; init; } = [new NvmeNamespaceOptions()];

    /// <summary>
    /// Whether the doorbells are shared memory that a thread looks at all the time, instead of registers whose write wakes the
    /// controller. It takes a processor while the controller is enabled, and saves the way through the kernel for each command.
    /// </summary>
    public bool Polled { get; init; }

    /// <summary>
    /// With <see cref="Polled"/>: whether the thread sleeps when nothing has come for two milliseconds. It looks once a millisecond then, which takes less than a
    /// hundredth of a processor, so that the first command after a pause may wait for as long; a doorbell that is rung by a message wakes it at once.
    /// </summary>
    public bool RestsWhenIdle { get; init; }

    /// <summary>With <see cref="RestsWhenIdle"/>: how long a thread that sleeps waits between two looks.</summary>
    internal TimeSpan RestPeriod { get; init; } = PollerRest.DefaultPeriod;

    /// <summary>
    /// Bytes of memory that the host may make further namespaces of, besides what those that it deletes had; 0 for no namespace management, so that
    /// the host can neither make namespaces nor delete or detach those that there are.
    /// </summary>
    public ulong ManagedCapacity { get; init; }

    /// <summary>Whether there are zoned namespaces, so that the controller has their command set.</summary>
    internal bool HasZones => Namespaces.Any(static ns => ns.Zones is not null);

    /// <summary>What is wrong with the settings.</summary>
    /// <returns>A sentence that says what is accepted; null when all is well.</returns>
    internal string? FindMistake()
    {
        if (!IsText(Serial, 20))
        {
            return $"nvme serial '{Serial}': 1 to 20 printable ASCII characters are accepted.";
        }

        if (!IsText(Model, 40))
        {
            return $"nvme model '{Model}': 1 to 40 printable ASCII characters are accepted.";
        }

        if (Queues is < 1 or > 256)
        {
            return $"nvme with {Queues} queues: 1 to 256 are accepted.";
        }

        if (QueueEntries is < 2 or > 65536)
        {
            return $"nvme queues of {QueueEntries} entries: 2 to 65536 are accepted.";
        }

        if (Namespaces.Count is < 1 or > 256)
        {
            return $"nvme with {Namespaces.Count} namespaces: 1 to 256 are accepted.";
        }

        if (RestsWhenIdle && !Polled)
        {
            return "nvme that rests when idle and is not polled: only a polled one is ever busy without commands.";
        }

        if (ManagedCapacity > long.MaxValue)
        {
            return $"nvme with {ManagedCapacity} bytes for further namespaces: up to 2⁶³ − 1 are accepted.";
        }

        foreach (NvmeNamespaceOptions ns in Namespaces)
        {
            if (ns.FindMistake() is { } mistake)
            {
                return mistake;
            }
        }

        return null;
    }

    private static bool IsText(string text, int length) => text.Length >= 1 && text.Length <= length && text.All(static c => c is >= ' ' and <= '~');
}

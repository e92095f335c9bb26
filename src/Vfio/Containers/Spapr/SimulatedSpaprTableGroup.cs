using System.Numerics;
using Vfio.Abi;
using Vfio.Iommu;

namespace Vfio;

/// <summary>An sPAPR table group that exists only here: what a device of it would see can be looked up.</summary>
public sealed class SimulatedSpaprTableGroup : ISpaprTableGroup
{
    private const int Slots = 2;
    private readonly SpaprWindow?[] _windows = new SpaprWindow?[Slots];

    /// <inheritdoc/>
    public object Kind { get; init; } = typeof(SimulatedSpaprTableGroup);

    /// <inheritdoc/>
    public uint DefaultWindowStart { get; init; }

    /// <summary>Length of the default window in bytes: 1 GiB by default.</summary>
    public uint DefaultWindowSize { get; init; } = 1 << 30;

    /// <summary>The page sizes of windows: 4 KiB, 64 KiB and 16 MiB by default.</summary>
    public ulong PageSizes { get; init; } = 0x101_1000;

    /// <inheritdoc/>
    public uint MaximumWindows { get; init; } = Slots;

    /// <inheritdoc/>
    public uint MaximumLevels { get; init; } = 5;

    /// <inheritdoc/>
    public SpaprEndpoint? Endpoint { get; init; } = new();

    /// <summary>What a request to set a window answers; for tests of failures.</summary>
    public Errno SetWindowResult { get; set; }

    /// <inheritdoc/>
    public IReadOnlyList<ReservedRegion> ReservedRegions => [];

    /// <inheritdoc/>
    public bool HasIsolatedMsi => true;

    /// <inheritdoc/>
    public bool EnforcesCoherency => true;

    /// <summary>The windows that the group's devices see, by their numbers.</summary>
    public IReadOnlyList<SpaprWindow?> Windows => _windows;

    /// <summary>There are no page tables but windows: other containers do not suit the group.</summary>
    /// <param name="domain">Always null.</param>
    /// <returns><see cref="Errno.ENODEV"/>.</returns>
    public Errno CreateDomain(DomainOptions options, UserData data, out IPagingDomain? domain)
    {
        domain = null;
        return Errno.ENODEV;
    }

    /// <inheritdoc/>
    public ulong GetTableSize(int pageShift, ulong size, uint levels)
    {
        const ulong Unit = 4096;
        const ulong EntrySize = 8;
        if (levels == 0 || levels > MaximumLevels || !BitOperations.IsPow2(size) || size < 1ul << pageShift)
        {
            return 0;
        }

        ulong bytes = 0;
        ulong entries = size >> pageShift;
        for (uint level = 0; level < levels; level++)
        {
            ulong table = ((entries * EntrySize) + Unit - 1) & ~(Unit - 1);
            bytes += table;
            entries = table / Unit;
        }

        return bytes;
    }

    /// <summary>The first window begins at the default one's place, the second at 2⁵⁹, as on PowerNV.</summary>
    /// <inheritdoc/>
    public ulong GetWindowStart(int number) => number == 0 ? DefaultWindowStart : 1ul << 59;

    /// <inheritdoc/>
    public Errno SetWindow(int number, SpaprWindow window)
    {
        if (SetWindowResult == Errno.None)
        {
            _windows[number] = window;
        }

        return SetWindowResult;
    }

    /// <inheritdoc/>
    public void UnsetWindow(int number) => _windows[number] = null;

    /// <summary>Translates an address as the hardware would.</summary>
    /// <param name="address">The bus address.</param>
    /// <param name="memory">Whose memory.</param>
    /// <param name="target">The user's address behind it.</param>
    /// <param name="access">What a device may do there.</param>
    /// <returns>False for an address without an entry, and while the endpoint's DMA is frozen.</returns>
    public bool TryTranslate(ulong address, out IUserMemory? memory, out ulong target, out DmaAccess access)
    {
        (memory, target, access) = (null, 0, DmaAccess.None);
        if (Endpoint is { IsDmaEnabled: false })
        {
            return false;
        }

        foreach (SpaprWindow? window in _windows)
        {
            if (window is not null && window.TryTranslate(address, out memory, out target, out access))
            {
                return true;
            }
        }

        return false;
    }
}

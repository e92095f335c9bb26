using Vfio.Abi;

namespace Vfio.Iommu.Testing;

/// <summary>A device of a <see cref="MockIommu"/>, with four cached words.</summary>
internal sealed class MockDevice(IommuGroup? group) : IIommuDevice
{
    public string Name { get; init; } = "mock";

    public IommuGroup? IommuGroup => group;

    public bool IsCacheCoherent { get; init; } = true;

    public bool TracksWrites { get; init; } = true;

    public uint PasidCount { get; init; }

    public bool SharesPageRequests { get; init; }

    public bool CachesTranslations { get; init; }

    public uint[] Cache { get; } = [0xbaddad, 0xbaddad, 0xbaddad, 0xbaddad];

    public Errno Invalidate(uint? index)
    {
        if (index is { } one)
        {
            Cache[one] = 0;
        }
        else
        {
            Array.Clear(Cache);
        }

        return Errno.None;
    }
}

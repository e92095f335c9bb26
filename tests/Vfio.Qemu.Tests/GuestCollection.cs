namespace Vfio.Qemu.Tests;

/// <summary>Tests with a guest run one after the other: each keeps a processor busy.</summary>
[CollectionDefinition(Name)]
public sealed class GuestCollection : ICollectionFixture<GuestFixture>
{
    public const string Name = "guest";
}

namespace Vfio.Iommu.Testing;

/// <summary>The operations (<c>IOMMU_TEST_OP_*</c>).</summary>
internal enum TestOperation : uint
{
    AddReserved = 1,
    MockDomain = 2,
    CheckMap = 3,
    CheckReferences = 4,
    CreateAccess = 5,
    DestroyAccessPages = 6,
    AccessPages = 7,
    AccessReadWrite = 8,
    SetMemoryLimit = 9,
    ReplaceDomain = 10,
    ReplaceAccessIoas = 11,
    MockDomainFlags = 12,
    Dirty = 13,
    CheckIotlb = 14,
    TriggerFault = 15,
    CheckCache = 16,
    TriggerEvent = 17,
    PasidAttach = 18,
    PasidReplace = 19,
    PasidDetach = 20,
    PasidCheck = 21,
    DmaBufGet = 22,
    DmaBufRevoke = 23,
}

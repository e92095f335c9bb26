namespace Vfio.Drivers.Nvme;

/// <summary>What Identify is asked for (CNS; Base 2.0 figure 273).</summary>
internal static class IdentifyStructure
{
    public const uint Namespace = 0x00;
    public const uint Controller = 0x01;
    public const uint ActiveNamespaces = 0x02;
    public const uint NamespaceDescriptors = 0x03;
}

using System.Runtime.InteropServices;
using Vfio.Abi;

namespace Vfio.Differential;

/// <summary>Chains of capabilities behind information structures, as fields.</summary>
internal static class CapabilityText
{
    private const int MaximumCount = 16;

    /// <summary>Where the chain of a structure starts; 0 when it has none.</summary>
    public static uint Start<T>(in T structure)
        where T : unmanaged
        => structure switch
        {
            vfio_device_info info when (info.flags & VfioUapi.VFIO_DEVICE_FLAGS_CAPS) != 0 => info.cap_offset,
            vfio_region_info info when (info.flags & VfioUapi.VFIO_REGION_INFO_FLAG_CAPS) != 0 => info.cap_offset,
            vfio_iommu_type1_info info when (info.flags & VfioUapi.VFIO_IOMMU_INFO_CAPS) != 0 => info.cap_offset,
            _ => 0,
        };

    /// <summary>The chain.</summary>
    /// <param name="argument">The structure with what follows it.</param>
    /// <param name="start">Where the chain starts.</param>
    /// <param name="text">Says numbers.</param>
    public static IEnumerable<KeyValuePair<string, string>> Fields(byte[] argument, uint start, StructureText text)
    {
        uint at = start;
        for (int i = 0; i < MaximumCount && at != 0 && at + 8 <= argument.Length; i++)
        {
            vfio_info_cap_header header = MemoryMarshal.Read<vfio_info_cap_header>(argument.AsSpan((int)at));
            uint end = header.next > at && header.next <= argument.Length ? header.next : (uint)argument.Length;
            string name = $"cap{i}";
            yield return new KeyValuePair<string, string>(name, $"id {header.id} version {header.version} at {at} next {header.next}");
            int word = 0;
            for (uint place = at + 8; place + 8 <= end; place += 8)
            {
                ulong value = MemoryMarshal.Read<ulong>(argument.AsSpan((int)place));
                if (value != 0 || header.next != 0)
                {
                    yield return new KeyValuePair<string, string>($"{name}.u64[{word}]", text.Number("", value));
                }

                word++;
            }

            at = header.next;
        }
    }
}

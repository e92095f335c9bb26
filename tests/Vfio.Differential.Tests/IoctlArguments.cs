using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;
using Vfio.TestUtilities;

namespace Vfio.Differential.Tests;

/// <summary>Ioctls that are nearly right: a command and its argument as a program would give them, changed by a seed.</summary>
/// <param name="random">The numbers.</param>
/// <param name="user">The caller's memory, of at least a MiB, in whose first half the arguments are put.</param>
/// <param name="pick">Gives the number of one of the caller's descriptors, most often of this kind.</param>
internal sealed class IoctlArguments(Random random, TestUserMemory user, Func<Type?, int> pick)
{
    private const uint First = VfioUapi.VFIO_GET_API_VERSION;
    private const uint FirstIommufd = IommufdUapi.IOMMU_DESTROY;
    private const ulong Nested = TestUserMemory.Base + 0x8000;
    private const ulong Data = TestUserMemory.Base + 0x8_0000;
    private const ulong Page = 0x1000;
    private static readonly uint[] s_edges = [0, 1, 2, 7, 8, 12, 15, 16, 20, 24, 31, 32, 40, 48, 64, 4095, 4096, 1 << 20, int.MaxValue, 0x8000_0000, uint.MaxValue - 1, uint.MaxValue];
    private static readonly ulong[] s_addresses = [0, 1, Page, Page - 1, 0x1_0000, 1UL << 32, 1UL << 47, 1UL << 48, 0xFEE0_0000, (1UL << 63) - 1, 1UL << 63, ulong.MaxValue - 0xFFF, ulong.MaxValue];

    /// <summary>Puts one into the user's memory.</summary>
    /// <param name="address">Where, or a number that stands for itself.</param>
    /// <param name="file">The descriptor to ask.</param>
    /// <returns>The command.</returns>
    public uint Next(out ulong address, out int file)
    {
        int kind = random.Next(34);
        (uint command, byte[] argument) = Sound(kind);
        file = pick(kind switch
        {
            0 or 1 or 3 => typeof(VfioGroupFile),
            2 or (> 3 and < 8) => typeof(VfioContainer),
            < 19 => typeof(VfioDeviceFile),
            < 33 => typeof(IommufdContext),
            _ => null,
        });
        bool isValue = command == VfioUapi.VFIO_SET_IOMMU;
        Mutate(ref command, argument);

        // Now and then where the memory ends, or where there is none.
        address = isValue ? (ulong)random.Next(10) : random.Next(50) switch
        {
            0 => TestUserMemory.Base + (ulong)user.Bytes.Length - (ulong)random.Next(64),
            1 => s_addresses[random.Next(s_addresses.Length)],
            2 => (ulong)random.Next(10),
            _ => TestUserMemory.Base + ((ulong)random.Next(16) * 8),
        };
        if (address >= TestUserMemory.Base && address - TestUserMemory.Base < (ulong)user.Bytes.Length)
        {
            Span<byte> room = user.Bytes.AsSpan((int)(address - TestUserMemory.Base));
            argument.AsSpan(0, Math.Min(argument.Length, room.Length)).CopyTo(room);
        }

        return command;
    }

    private (uint Command, byte[] Argument) Sound(int kind)
    {
        uint id = (uint)random.Next(1, 12);
        uint other = (uint)random.Next(1, 12);
        ulong iova = (ulong)random.Next(64) * Page;
        ulong length = (ulong)random.Next(1, 8) * Page;
        ulong source = Data + ((ulong)random.Next(64) * Page);
        uint file = (uint)pick(kind switch { 0 => typeof(VfioContainer), 13 => typeof(IommufdContext), 17 => typeof(VfioGroupFile), _ => typeof(FileDescriptor) });
        uint index = (uint)random.Next(9);
        switch (kind)
        {
            case 0:
                return (VfioUapi.VFIO_GROUP_SET_CONTAINER, Number(file));
            case 1:
                return (VfioUapi.VFIO_GROUP_UNSET_CONTAINER, []);
            case 2:
                return (VfioUapi.VFIO_SET_IOMMU, []);
            case 3:
                return (VfioUapi.VFIO_GROUP_GET_DEVICE_FD, [.. Targets.Address(random.Next(2) == 0 ? Target.A : Target.B).Select(static letter => (byte)letter), 0]);
            case 4 or 5:
                return (VfioUapi.VFIO_IOMMU_MAP_DMA, Words(32, 3u, source, iova, length));
            case 6:
                return (VfioUapi.VFIO_IOMMU_UNMAP_DMA, random.Next(3) == 0 ? Words(48, 1u, iova, length, Page, 64UL, Nested) : Words(24, 0u, iova, length));
            case 7:
                return (VfioUapi.VFIO_IOMMU_DIRTY_PAGES, random.Next(2) == 0 ? Words(8, 1u << random.Next(2)) : Words(48, 4u, iova, length, Page, 64UL, Nested));
            case 8:
                return (VfioUapi.VFIO_DEVICE_GET_REGION_INFO, Words(512, 0u, index, 0u, 0UL, 0UL));
            case 9:
                return (VfioUapi.VFIO_DEVICE_GET_IRQ_INFO, Words(16, 0u, index % 5, 0u));
            case 10 or 11:
                uint count = (uint)random.Next(6);
                return (VfioUapi.VFIO_DEVICE_SET_IRQS, [.. Words(20 + (4 * count), (1u << random.Next(3)) | (8u << random.Next(3)), index % 5, (uint)random.Next(3), count), .. Enumerable.Range(0, (int)count).SelectMany(_ => Number(file))]);
            case 12:
                return (VfioUapi.VFIO_DEVICE_FEATURE, Words(40, (uint)random.Next(13) | (1u << random.Next(16, 19)), iova, length, Page, Nested));
            case 13:
                return (VfioUapi.VFIO_DEVICE_BIND_IOMMUFD, Words(24, 0u, file, 0u, Nested));
            case 14:
                return (VfioUapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT, Words(12, 0u, id));
            case 15:
                return (VfioUapi.VFIO_DEVICE_DETACH_IOMMUFD_PT, Words(8, 0u));
            case 16:
                return (VfioUapi.VFIO_DEVICE_IOEVENTFD, Words(32, 4u, iova, 1UL, file, 0u));
            case 17:
                return (VfioUapi.VFIO_DEVICE_PCI_HOT_RESET, Words(16, 0u, 1u, file));
            case 18:
                return (VfioUapi.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, Words(128, 0u, 0u));
            case 19 or 20:
                return (IommufdUapi.IOMMU_IOAS_ALLOC, Words(12, 0u, 0u));
            case 21 or 22:
                return (IommufdUapi.IOMMU_IOAS_MAP, Words(40, 7u, id, 0u, source, length, iova));
            case 23:
                return (IommufdUapi.IOMMU_IOAS_MAP_FILE, Words(40, 7u, id, file, 0UL, length, iova));
            case 24:
                return (IommufdUapi.IOMMU_IOAS_UNMAP, Words(24, id, iova, random.Next(3) == 0 ? ulong.MaxValue : length));
            case 25:
                return (IommufdUapi.IOMMU_IOAS_COPY, Words(40, 7u, id, other, length, iova, iova));
            case 26:
                return (IommufdUapi.IOMMU_HWPT_ALLOC, Words(48, (uint)random.Next(4), id, other, 0u, 0u, 0u, 0u, Nested, 0u, 0u));
            case 27:
                return (IommufdUapi.IOMMU_IOAS_ALLOW_IOVAS, Words(24, id, (uint)random.Next(3), 0u, Nested));
            case 28:
                return (IommufdUapi.IOMMU_IOAS_IOVA_RANGES, Words(32, id, (uint)random.Next(4), 0u, Nested, 0UL));
            case 29:
                return (IommufdUapi.IOMMU_HWPT_GET_DIRTY_BITMAP, Words(48, id, 0u, 0u, iova, length, Page, Nested));
            case 30:
                return (IommufdUapi.IOMMU_GET_HW_INFO, Words(48, 0u, id, 64u, Nested, 0u, 0u, 0UL, 0UL));
            case 31:
                return (IommufdUapi.IOMMU_DESTROY, Words(8, id));
            case 32:
                return (IommufdUapi.IOMMU_VFIO_IOAS, Words(12, id, (uint)random.Next(3)));
            default:
                // Any of them, with numbers that mean something somewhere.
                uint any = random.Next(2) == 0 ? First + (uint)random.Next(24) : FirstIommufd + (uint)random.Next(24);
                return (any, Words(s_edges[random.Next(s_edges.Length)], 0u, id, file, source, length, iova, Nested, 0UL));
        }
    }

    private void Mutate(ref uint command, byte[] argument)
    {
        // What nested arrays hold: ranges, words, numbers of files.
        if (random.Next(4) == 0)
        {
            Span<byte> nested = user.Bytes.AsSpan((int)(Nested - TestUserMemory.Base) + (8 * random.Next(16)));
            BinaryPrimitives.WriteUInt64LittleEndian(nested, random.Next(2) == 0 ? (ulong)random.Next(64) * Page : s_addresses[random.Next(s_addresses.Length)]);
        }

        int words = argument.Length / 4;
        switch (words == 0 ? 20 : random.Next(30))
        {
            case < 4:
                BinaryPrimitives.WriteUInt32LittleEndian(argument.AsSpan(4 * random.Next(words)), s_edges[random.Next(s_edges.Length)]);
                break;
            case < 8 when argument.Length >= 16:
                BinaryPrimitives.WriteUInt64LittleEndian(argument.AsSpan(8 * random.Next(1, argument.Length / 8)), s_addresses[random.Next(s_addresses.Length)]);
                break;
            case < 11:
                argument[random.Next(argument.Length)] ^= (byte)(1 << random.Next(8));
                break;
            case < 13:
                // The size that it claims.
                BinaryPrimitives.WriteUInt32LittleEndian(argument, s_edges[random.Next(s_edges.Length)]);
                break;
            case 13:
                random.NextBytes(argument);
                break;
            case 14:
                command ^= 1u << random.Next(32);
                break;
        }
    }

    private static byte[] Number(uint value) => BitConverter.GetBytes(value);

    /// <summary>A structure: its size, then 32- and 64-bit numbers.</summary>
    private static byte[] Words(uint size, params object[] values)
        => [.. BitConverter.GetBytes(size), .. values.SelectMany(static value => value is ulong wide ? BitConverter.GetBytes(wide) : BitConverter.GetBytes((uint)value))];
}

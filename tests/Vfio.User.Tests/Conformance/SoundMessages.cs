using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Testing;

namespace Vfio.User.Tests.Conformance;

/// <summary>Commands of every kind that a client may send, with numbers that fit mostly.</summary>
internal static class SoundMessages
{
    /// <summary>One of them.</summary>
    /// <param name="random">Where the kind and its numbers come from.</param>
    /// <param name="id">The message's number.</param>
    internal static byte[] Next(Random random, ushort id)
    {
        const uint Get = VfioUapi.VFIO_DEVICE_FEATURE_GET;
        const uint Set = VfioUapi.VFIO_DEVICE_FEATURE_SET;
        uint index = (uint)random.Next(9);
        uint count = (uint)random.Next(1, 64);
        ulong address = (ulong)random.Next(64) * 0x1000;
        (VfioUserCommand command, byte[] payload) = random.Next(15) switch
        {
            0 => (VfioUserCommand.DmaMap, Bytes(new vfio_user_dma_map { argsz = 32, flags = 3, address = address, size = 0x1000 })),
            1 => (VfioUserCommand.DmaUnmap, Bytes(new vfio_user_dma_unmap { argsz = 24, address = address, size = 0x1000 })),
            2 => (VfioUserCommand.DeviceGetInfo, Bytes(new vfio_user_device_info { argsz = 16 })),
            3 => (VfioUserCommand.DeviceGetRegionInfo, Bytes(new vfio_region_info { argsz = 4096, index = index })),
            4 => (VfioUserCommand.DeviceGetRegionIoFds, Bytes(new vfio_user_region_io_fds { argsz = 4096, index = index })),
            5 => (VfioUserCommand.DeviceGetIrqInfo, Bytes(new vfio_irq_info { argsz = 16, index = index % 5 })),
            6 => (VfioUserCommand.DeviceSetIrqs, Bytes(new vfio_irq_set { argsz = 20, flags = (1u << random.Next(3)) | (8u << random.Next(3)), index = index % 5, start = count, count = 1 })),
            7 => (VfioUserCommand.RegionRead, Bytes(new vfio_user_region_access { region = index, offset = address & 0xFFFF, count = count })),
            8 => (VfioUserCommand.RegionWrite, RawVfioUserClient.AccessPayload(index, address & 0xFFFF, new byte[count])),
            9 => (VfioUserCommand.RegionWriteMulti, Join(BitConverter.GetBytes(1UL), Bytes(new vfio_user_region_access { region = index, count = 4 }), new byte[8])),
            10 => (VfioUserCommand.DeviceReset, []),
            11 => (VfioUserCommand.DeviceFeature, Feature(2 | Set, 16, Bytes(new vfio_device_feature_mig_state { device_state = (uint)random.Next(8), data_fd = -1 }))),
            12 => (VfioUserCommand.DeviceFeature, Feature(random.Next(2) == 0 ? 6 | Set : 8 | Get, 64, Bytes(new vfio_user_dma_logging_report { length = 0x10000, page_size = 4096 }))),
            13 => (VfioUserCommand.MigrationDataRead, Bytes(new vfio_user_mig_data { argsz = 8 + count, size = count })),
            _ => (VfioUserCommand.MigrationDataWrite, Join(Bytes(new vfio_user_mig_data { argsz = 8 + count, size = count }), new byte[count])),
        };
        return VfioUserPeer.Compose(id, command, random.Next(8) == 0 ? VfioUserFlags.NoReply : 0, payload);
    }

    private static byte[] Bytes<T>(in T value)
        where T : unmanaged
        => MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)).ToArray();

    private static byte[] Join(params byte[][] parts) => [.. parts.SelectMany(static part => part)];

    private static byte[] Feature(uint flags, uint argsz, params byte[] data) => Join(Bytes(new vfio_device_feature { argsz = argsz, flags = flags }), data);
}

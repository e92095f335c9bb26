using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.Tests;

/// <summary>A container with a type1 IOMMU, one group in it, and the device open; the user's memory lies at <see cref="TestUserMemory.Base"/>.</summary>
internal sealed class Type1Rig : IAsyncDisposable
{
    public const ulong Page = 0x1000;
    public const ulong Memory = TestUserMemory.Base;
    public const Type1MapFlags ReadWrite = Type1MapFlags.Read | Type1MapFlags.Write;

    public Type1Rig(bool physical = false, uint type = VfioUapi.VFIO_TYPE1v2_IOMMU, IIommuHardware? hardware = null, Func<VfioHostOptions, VfioHostOptions>? options = null, bool pins = true)
    {
        Fixture = new CoreFixture(CallerCapabilities.RawIo, options: options);
        Device = physical
            ? Fixture.AddPhysical("d0", create: () => new RecordingDevice { Pins = pins }, hardware: hardware)
            : Fixture.Add("d0", () => new RecordingDevice { Pins = pins });
        (Container, Group, File) = Fixture.OpenThroughContainer(Device, type);
        Iommu = (Type1Iommu)Container.Iommu!;
        Device.Forget();
    }

    public CoreFixture Fixture { get; }

    public RecordingDevice Device { get; }

    public VfioContainer Container { get; }

    public VfioGroupFile Group { get; }

    public VfioDeviceFile File { get; }

    public Type1Iommu Iommu { get; }

    public TestUserMemory User { get; } = new(0x40_0000);

    /// <summary>Maps memory whose place in the user's memory follows from the address.</summary>
    public Errno Map(ulong iova, ulong size, Type1MapFlags flags = ReadWrite) => Iommu.Map(flags, User, Memory + (iova & 0x1F_FFFF), iova, size);

    public Errno Unmap(ulong iova, ulong size, out ulong unmapped) => Iommu.Unmap(Type1UnmapFlags.None, iova, size, out unmapped);

    public IoResult Pin(ulong iova, int count = 1, DmaAccess access = DmaAccess.ReadWrite) => Container.PinPages(Device, iova, count, access, new PinnedPage?[Math.Max(0, count)]);

    public void Unpin(ulong iova, int count = 1) => Container.UnpinPages(Device, iova, count);

    /// <summary>Executes a command whose structure is given as 32- and 64-bit numbers.</summary>
    public IoResult Ioctl(uint command, byte[] argument) => Container.Ioctl(command, new UserArgument(argument));

    public static byte[] Bytes(params ReadOnlySpan<object> values)
    {
        List<byte> bytes = [];
        byte[] buffer = new byte[8];
        foreach (object value in values)
        {
            switch (value)
            {
                case uint number:
                    BinaryPrimitives.WriteUInt32LittleEndian(buffer, number);
                    bytes.AddRange(buffer.AsSpan(0, 4));
                    break;
                case ulong number:
                    BinaryPrimitives.WriteUInt64LittleEndian(buffer, number);
                    bytes.AddRange(buffer);
                    break;
                default:
                    throw new ArgumentException(value.ToString());
            }
        }

        return [.. bytes];
    }

    /// <summary>Dirty pages of a range, as one word each 64 pages; asserts success.</summary>
    public ulong[] Dirty(ulong iova, ulong size, ulong preset = 0)
    {
        ulong[] words = new ulong[(size / Page / 64) + 1];
        words.AsSpan().Fill(preset);
        Assert.Equal(Errno.None, GetDirty(iova, size, words));
        return words;
    }

    public Errno GetDirty(ulong iova, ulong size, ulong[] words)
        => Iommu.GetDirtyPages(iova, size, new Type1Bitmap(Page, (ulong)words.Length * 8), new UserArgument(System.Runtime.InteropServices.MemoryMarshal.AsBytes(words.AsSpan())));

    public ValueTask DisposeAsync() => Fixture.DisposeAsync();
}

using System.Buffers.Binary;
using Vfio.Abi;
using Vfio.Iommu;
using Vfio.Linux;
using Vfio.TestUtilities;

namespace Vfio.Architecture.Tests.Readme;

/// <summary>Every piece of code in the guide for device authors is a piece of a device that is compiled and run here.</summary>
public sealed class AuthorGuideTests
{
    [Fact]
    public void Every_snippet_of_the_guide_is_compiled() => Snippets.AssertCompiled("docs/device-author.md");

    [Fact]
    public void Every_callback_is_explained()
    {
        string guide = File.ReadAllText(Path.Combine(Checkout.Root, "docs/device-author.md"));
        foreach (Type type in new[] { typeof(VfioDevice), typeof(Pci.VfioPciDevice), typeof(IVfioMigration), typeof(IVfioDirtyLog), typeof(SteppedMigration), typeof(MigrationDataFile) })
        {
            const System.Reflection.BindingFlags Members = System.Reflection.BindingFlags.Instance | System.Reflection.BindingFlags.Public
                | System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.DeclaredOnly;
            foreach (System.Reflection.MethodInfo method in type.GetMethods(Members).Where(static method => method is { IsVirtual: true, IsFinal: false, IsAssembly: false }))
            {
                string name = method.Name.StartsWith("get_", StringComparison.Ordinal) ? method.Name[4..] : method.Name;
                Assert.True(guide.Contains($"`{name}", StringComparison.Ordinal), $"{type.Name}.{name} is not in the guide.");
            }
        }
    }

    [Fact]
    public async Task Registered_device_is_withdrawn_and_given_back()
    {
        await using VfioHost host = new();

        // GUIDE
        ChecksumDevice device = host.Allocate(() => new ChecksumDevice());
        VfioRegistration registration = host.RegisterEmulatedIommuDevice(device, "checksum0");
        // END

        Assert.Same(device, host.FindDevice("checksum0"));
        await registration.UnregisterAsync(TestContext.Current.CancellationToken);
        device.Put();
        Assert.Null(host.FindDevice("checksum0"));
    }

    [Fact]
    public async Task Scratch_device_copies_logs_and_interrupts()
    {
        await using VfioHost host = new();
        using IommufdContext context = new();
        using VfioDeviceFile file = Open(host, context, "scratch0", out Ioas ioas);
        Assert.Equal(Errno.None, MemoryMapping.TryMapAnonymous(0x4000, MemoryProtection.ReadWrite, out MemoryMapping? memory));
        using (memory)
        {
            MappedMemorySource source = new(memory!, 0, 0x4000, writable: true, ownsMapping: false);
            Assert.Equal(Errno.None, ioas.MapFixed(0x10_0000, 0x4000, source, 0, DmaAccess.ReadWrite));
            source.RemoveReference();
            using EventFd interrupt = new();
            Assert.Equal(0, file.SetIrqEventFds(0, IrqSetFlags.ActionTrigger, 0, [interrupt.Descriptor]).Value);
            ulong pageSize = 0x1000;
            Assert.Equal(Errno.None, file.StartDirtyLog([], ref pageSize));
            Assert.Equal(4, file.Write("abcd"u8, 8).Value);
            byte[] target = new byte[8];
            BinaryPrimitives.WriteUInt64LittleEndian(target, 0x10_1000);
            Assert.Equal(8, file.Write(target, ScratchDevice.Size).Value);
            Assert.True(interrupt.TryConsume(out ulong count) && count == 1);
            Assert.Equal("abcd"u8, memory!.Slice(0x1008, 4));
            Assert.True(IovaRange.TryCreate(0x10_0000, 0x4000, out IovaRange range));
            Assert.Equal(Errno.None, DirtyBitmap.TryCreate(range, pageSize, 64, out DirtyBitmap? bitmap));
            Assert.Equal(Errno.None, file.ReadDirtyLog(range, bitmap!));
            Assert.Equal(2ul, bitmap!.Words[0]);
        }

        file.Dispose();
    }

    [Fact]
    public async Task Scratch_device_migrates()
    {
        await using VfioHost host = new();
        using IommufdContext context = new();
        using VfioDeviceFile source = Open(host, context, "source", out _);
        using VfioDeviceFile target = Open(host, context, "target", out _);
        Assert.Equal(4, source.Write("abcd"u8, 100).Value);
        Assert.Equal(Errno.None, source.SetMigrationState(MigrationState.StopCopy, out MigrationDataFile? saved));
        Assert.Equal(Errno.None, target.SetMigrationState(MigrationState.Resuming, out MigrationDataFile? resumed));
        Assert.Equal(Errno.EINVAL, target.SetMigrationState(MigrationState.Stop, out _));
        byte[] piece = new byte[1000];
        while (saved!.Read(piece) is { Count: > 0 } read)
        {
            Assert.Equal(read.Count, resumed!.Write(piece.AsSpan(0, read.Count)).Count);
        }

        Assert.Equal(Errno.None, target.SetMigrationState(MigrationState.Running, out _));
        byte[] back = new byte[4];
        Assert.Equal(4, target.Read(back, 100).Value);
        Assert.Equal("abcd"u8.ToArray(), back);
        Assert.Equal(Errno.None, target.GetInfo(out DeviceInfo info));
        Assert.Equal((1u, 1u), (info.RegionCount, info.IrqCount));
        Assert.Equal(Errno.None, target.Reset());
    }

    private static VfioDeviceFile Open(VfioHost host, IommufdContext context, string name, out Ioas ioas)
    {
        ScratchDevice device = host.Allocate(static () => new ScratchDevice());
        _ = host.RegisterEmulatedIommuDevice(device, name);
        Assert.Equal(Errno.None, context.AllocateIoas(out Ioas? created));
        ioas = created!;
        Assert.Equal(Errno.None, host.TryOpenDevice(name, out VfioDeviceFile? file));
        Assert.Equal(Errno.None, file!.Bind(context, out _));
        uint id = ioas.Id;
        Assert.Equal(Errno.None, file.Attach(ref id));
        return file;
    }
}

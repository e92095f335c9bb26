using System.Diagnostics;
using System.Globalization;
using Vfio.Abi;
using Vfio.Linux;
using static Vfio.Iommu.Tests.IommufdCaller;
using static Vfio.Iommu.Testing.MockIommu;

namespace Vfio.Iommu.Tests;

/// <summary>Real memory of processes behind an address space.</summary>
public sealed class ProcessUserMemoryTests
{
    [Fact]
    public unsafe void Memory_that_is_read_only_or_not_there_is_refused_when_a_domain_shows_it()
    {
        using IommufdCaller c = new();
        Ioas ioas = c.Ioas(c.Alloc());
        IommufdDevice device = c.Attach(ioas.Id);
        Assert.Equal(Errno.None, MemoryMapping.TryMapAnonymous((nuint)(2 * P), MemoryProtection.Read, out MemoryMapping? readOnly));
        Assert.Equal(Errno.None, MemoryMapping.TryMapAnonymous((nuint)(2 * P), MemoryProtection.ReadWrite, out MemoryMapping? writable));
        using MemoryMapping first = readOnly!;
        using MemoryMapping second = writable!;
        Assert.Equal(Errno.EFAULT, Map(first.Pointer, DmaAccess.ReadWrite));
        Assert.Equal(Errno.None, Map(first.Pointer, DmaAccess.Read));
        Assert.Equal(Errno.None, ioas.Unmap(IovaRange.All, out _));
        Assert.Equal(Errno.None, Map(second.Pointer, DmaAccess.ReadWrite));
        Assert.Equal(Errno.None, device.Write(Base + 5, [9]));
        Assert.Equal(9, second.Pointer[5]);
        Assert.Equal(Errno.None, ioas.Unmap(IovaRange.All, out _));
        Assert.Equal(Errno.EFAULT, Map((byte*)P, DmaAccess.Read));

        Errno Map(byte* address, DmaAccess access)
        {
            UserMemorySource source = new(new ProcessUserMemory(), (ulong)address, 2 * P, (access & DmaAccess.Write) != 0);
            Errno error = ioas.MapFixed(Base, 2 * P, source, 0, access);
            source.RemoveReference();
            return error;
        }
    }

    [Fact]
    public void Another_process_has_memory_until_it_is_gone()
    {
        using Process process = Process.Start(new ProcessStartInfo("sleep", "60"))!;
        try
        {
            ulong address = 0;
            Assert.True(SpinWait.SpinUntil(
                () =>
                {
                    string? line = File.ReadLines($"/proc/{process.Id}/maps").FirstOrDefault(static line => line.EndsWith("/sleep", StringComparison.Ordinal));
                    return line is not null && ulong.TryParse(line.AsSpan(0, line.IndexOf('-', StringComparison.Ordinal)), NumberStyles.HexNumber, null, out address);
                },
                TimeSpan.FromSeconds(10)));
            using IommufdCaller c = new();
            Ioas ioas = c.Ioas(c.Alloc());
            IommufdDevice device = c.Attach(ioas.Id);
            UserMemorySource source = new(new ProcessUserMemory(process.Id), address, P, writable: false);
            Assert.Equal(Errno.None, ioas.MapFixed(Base, P, source, 0, DmaAccess.Read));
            byte[] magic = new byte[4];
            Assert.Equal(Errno.None, device.Read(Base, magic));
            Assert.Equal("\u007fELF"u8.ToArray(), magic);
            process.Kill();
            process.WaitForExit();
            Assert.Equal(Errno.EFAULT, device.Read(Base, magic));
            Assert.Equal(Errno.None, ioas.Unmap(IovaRange.All, out _));
            Assert.Equal(Errno.EFAULT, ioas.MapFixed(Base, P, source, 0, DmaAccess.Read));
            source.RemoveReference();
        }
        finally
        {
            process.Kill();
        }
    }
}

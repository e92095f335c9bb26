using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu.Tests;

/// <summary>A caller's memory: a page for structures, and the buffer B, whose pages count their pins and can be taken away or made read-only.</summary>
internal sealed unsafe class CallerMemory : IDirectUserMemory, IPinnableUserMemory, IDisposable
{
    public const ulong Structures = TestUserMemory.Base;
    public const int BufferPages = 16;
    private const ulong Page = 4096;
    private readonly TestUserMemory _structures = new((int)Page);
    private readonly MemoryMapping _buffer;
    private readonly MemoryProtection[] _protection = new MemoryProtection[BufferPages];
    private readonly int[] _pins = new int[BufferPages];

    public CallerMemory()
    {
        Assert.Equal(Errno.None, MemoryMapping.TryMapAnonymous((nuint)(BufferPages * Page), MemoryProtection.ReadWrite, out MemoryMapping? mapping));
        _buffer = mapping!;
        Array.Fill(_protection, MemoryProtection.ReadWrite);
    }

    public byte[] Bytes => _structures.Bytes;

    public Span<byte> Buffer => new(_buffer.Pointer, (int)(BufferPages * Page));

    /// <summary>How often the pages of B are pinned, in their order.</summary>
    public IReadOnlyList<int> Pins => _pins;

    public int PinCount => _pins.Sum();

    public void Protect(int firstPage, int count, MemoryProtection protection) => Array.Fill(_protection, protection, firstPage, count);

    public Errno Read(ulong address, Span<byte> destination)
    {
        if (address < IommufdCaller.B)
        {
            return _structures.Read(address, destination);
        }

        if (!Allows(address, (ulong)destination.Length, writable: false))
        {
            return Errno.EFAULT;
        }

        Buffer.Slice((int)(address - IommufdCaller.B), destination.Length).CopyTo(destination);
        return Errno.None;
    }

    public Errno Write(ulong address, ReadOnlySpan<byte> source)
    {
        if (address < IommufdCaller.B)
        {
            return _structures.Write(address, source);
        }

        if (!Allows(address, (ulong)source.Length, writable: true))
        {
            return Errno.EFAULT;
        }

        source.CopyTo(Buffer[(int)(address - IommufdCaller.B)..]);
        return Errno.None;
    }

    public nint GetPointer(ulong address, ulong length, bool writable)
        => Allows(address, length, writable) ? (nint)(_buffer.Pointer + (address - IommufdCaller.B)) : 0;

    public Errno Pin(ulong address, ulong length, bool writable)
    {
        if (address % Page != 0 || length % Page != 0 || !Allows(address, length, writable))
        {
            return Errno.EFAULT;
        }

        Count(address, length, 1);
        return Errno.None;
    }

    public void Unpin(ulong address, ulong length) => Count(address, length, -1);

    public void Dispose() => _buffer.Dispose();

    private void Count(ulong address, ulong length, int change)
    {
        for (ulong at = address - IommufdCaller.B; at < address - IommufdCaller.B + length; at += Page)
        {
            int now = Interlocked.Add(ref _pins[at / Page], change);
            Assert.True(now >= 0, "A page was let go more often than it was pinned.");
        }
    }

    private bool Allows(ulong address, ulong length, bool writable)
    {
        if (address < IommufdCaller.B || length == 0 || address - IommufdCaller.B + length > BufferPages * Page)
        {
            return false;
        }

        MemoryProtection wanted = writable ? MemoryProtection.ReadWrite : MemoryProtection.Read;
        for (ulong page = (address - IommufdCaller.B) / Page; page <= (address - IommufdCaller.B + length - 1) / Page; page++)
        {
            if ((_protection[page] & wanted) != wanted)
            {
                return false;
            }
        }

        return true;
    }
}

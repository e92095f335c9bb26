using Vfio.Abi;

namespace Vfio.Iommu.Tests;

/// <summary>A user's memory that can be had in this process as well.</summary>
public sealed class ShareableMemoryTests
{
    [Fact]
    public void Memory_is_asked_for_at_the_first_use_and_given_back_with_the_last_area()
    {
        Shareable memory = new(isShared: true);
        UserMemorySource source = new(memory, 0x7000, 4096, writable: true);
        Assert.Empty(memory.Asked);
        Assert.Equal("user", source.Kind);
        byte[] bytes = [1, 2, 3];
        Assert.Equal(Errno.None, source.Write(16, bytes));
        Assert.Equal(Errno.None, source.Read(17, bytes.AsSpan(0, 2)));
        Assert.Equal([2, 3, 3], bytes);
        Assert.Equal(0x1000 + 5, source.GetPointer(5));
        Assert.Equal("shared", source.Kind);
        Assert.Equal([(0x7000UL, 4096UL, true)], memory.Asked);
        Assert.Equal(0, memory.Copies);
        Assert.False(memory.IsReleased);
        source.RemoveReference();
        Assert.True(memory.IsReleased);
    }

    [Fact]
    public void Memory_that_cannot_be_had_is_asked_for_once_and_copied()
    {
        Shareable memory = new(isShared: false);
        UserMemorySource source = new(memory, 0x7000, 4096, writable: false);
        byte[] bytes = new byte[4];
        Assert.Equal(Errno.None, source.Read(0, bytes));
        Assert.Equal(Errno.None, source.Read(8, bytes));
        Assert.Equal(0, source.GetPointer(0));
        Assert.Equal("user", source.Kind);
        Assert.Equal([(0x7000UL, 4096UL, false)], memory.Asked);
        Assert.Equal(2, memory.Copies);
        source.RemoveReference();
    }

    private sealed class Shareable(bool isShared) : IShareableUserMemory
    {
        public List<(ulong Address, ulong Length, bool Writable)> Asked { get; } = [];

        public int Copies { get; private set; }

        public bool IsReleased { get; private set; }

        public MemorySource? TryShare(ulong address, ulong length, bool writable)
        {
            Asked.Add((address, length, writable));
            return isShared ? new Shown(length, () => IsReleased = true) : null;
        }

        public Errno Read(ulong address, Span<byte> destination)
        {
            Copies++;
            return Errno.None;
        }

        public Errno Write(ulong address, ReadOnlySpan<byte> source)
        {
            Copies++;
            return Errno.None;
        }
    }

    private sealed class Shown(ulong length, Action released) : MemorySource
    {
        private readonly byte[] _bytes = new byte[length];

        public override ulong Length => length;

        public override bool IsWritable => true;

        public override string Kind => "shown";

        public override Errno Read(ulong offset, Span<byte> destination)
        {
            _bytes.AsSpan((int)offset, destination.Length).CopyTo(destination);
            return Errno.None;
        }

        public override Errno Write(ulong offset, ReadOnlySpan<byte> source)
        {
            source.CopyTo(_bytes.AsSpan((int)offset));
            return Errno.None;
        }

        public override nint GetPointer(ulong offset) => 0x1000 + (nint)offset;

        protected override void Release() => released();
    }
}

using Vfio.Abi;

namespace Vfio.Tests;

/// <summary>The validation that all SET_IRQS begin with (spec vfio-core §5.10, §10.8).</summary>
public sealed class IrqSetRequestTests
{
    private const uint None = VfioUapi.VFIO_IRQ_SET_DATA_NONE;
    private const uint Bool = VfioUapi.VFIO_IRQ_SET_DATA_BOOL;
    private const uint EventFd = VfioUapi.VFIO_IRQ_SET_DATA_EVENTFD;
    private const uint Trigger = VfioUapi.VFIO_IRQ_SET_ACTION_TRIGGER;

    [Theory]
    [InlineData(19u, 0u, 0u, 1u)]
    [InlineData(20u, 1u, 0u, 1u)]
    [InlineData(20u, 0u, 4u, 0u)]
    [InlineData(20u, 0u, 3u, 2u)]
    [InlineData(20u, 0u, 0u, uint.MaxValue)]
    [InlineData(20u, 0u, 3u, uint.MaxValue - 3)]
    public void Case130_ranges(uint argsz, uint index, uint start, uint count)
        => Assert.Equal(Errno.EINVAL, Read(argsz, None | Trigger, index, start, count, out _));

    [Theory]
    [InlineData(0x40 | None | Trigger)]
    [InlineData(Trigger)]
    [InlineData(None | Bool | Trigger)]
    public void Case131_flags(uint flags) => Assert.Equal(Errno.EINVAL, Read(24, flags, 0, 0, 1, out _));

    [Fact]
    public void Case132_data_must_be_there()
    {
        Assert.Equal(Errno.EINVAL, Read(27, EventFd | Trigger, 0, 0, 2, out _));
        Assert.Equal(Errno.None, Read(28, EventFd | Trigger, 0, 0, 2, out IrqSetRequest request));
        Assert.Equal(8u, request.DataSize);
        Assert.Equal((IrqSetFlags.DataEventFd, IrqSetFlags.ActionTrigger), (request.Data, request.Action));
    }

    [Fact]
    public void Case133_data_for_a_device_that_takes_none()
    {
        Assert.Equal(Errno.EINVAL, Read(21, Bool | Trigger, 0, 0, 1, out _, takesData: false));
        Assert.Equal(Errno.None, Read(20, None | Trigger, 0, 0, 1, out IrqSetRequest request, takesData: false));
        Assert.Equal(0u, request.DataSize);
        Assert.Equal(Errno.None, Read(21, Bool | Trigger, 0, 0, 1, out request));
        Assert.Equal(1u, request.DataSize);
    }

    [Fact]
    public void Index_without_interrupts_refuses_even_a_disable()
        => Assert.Equal(Errno.EINVAL, IrqSetRequest.TryRead(new UserArgument(Type1Rig.Bytes(20u, None | Trigger, 0u, 0u, 0u)), [0u], out _));

    [Fact]
    public void Short_memory_is_EFAULT()
    {
        Assert.Equal(Errno.EFAULT, IrqSetRequest.TryRead(new UserArgument(new byte[19]), [4u], out _));
        byte[] argument = Type1Rig.Bytes(28u, EventFd | Trigger, 0u, 0u, 2u, 7u);
        Assert.Equal(Errno.None, IrqSetRequest.TryRead(new UserArgument(argument), [4u], out IrqSetRequest request));
        Assert.Equal(Errno.EFAULT, request.ReadData(new UserArgument(argument), new int[2]));
    }

    private static Errno Read(uint argsz, uint flags, uint index, uint start, uint count, out IrqSetRequest request, bool takesData = true)
        => IrqSetRequest.TryRead(new UserArgument(Type1Rig.Bytes(argsz, flags, index, start, count)), [4u], out request, takesData);
}

using Vfio.Abi;
using Vfio.Pci;

namespace Vfio.User.Tests.Devices;

/// <summary>Registers by which a test makes the device do things, at the start of BAR 0.</summary>
public sealed partial class ControlBlock(ConformanceDevice device) : RegisterBlock("control", 0x1000)
{
    private readonly byte[] _scratch = new byte[ScratchEnd];

    public override AccessResult Read(ulong offset, int width, out ulong value)
    {
        value = 0;
        if (offset < ScratchEnd)
        {
            for (int i = width - 1; i >= 0; i--)
            {
                value = (value << 8) | _scratch[(int)offset + i];
            }

            return AccessResult.Ok;
        }

        value = offset switch
        {
            DmaResult => (uint)device.LastDmaError,
            DmaCount => (uint)device.DmaDone,
            DmaInRead => (uint)device.Dma.Read(device.DmaAddress, device.DmaBytes.AsSpan(0, device.DmaLength)),
            ThreadAllocations => (ulong)GC.GetAllocatedBytesForCurrentThread(),
            _ => 0,
        };
        return AccessResult.Ok;
    }

    public override AccessResult Write(ulong offset, int width, ulong value)
    {
        device.Log.Add((offset, width, value));
        if (offset < ScratchEnd)
        {
            for (int i = 0; i < width; i++)
            {
                _scratch[(int)offset + i] = (byte)(value >> (i * 8));
            }

            return AccessResult.Ok;
        }

        switch (offset)
        {
            case DmaAddress:
                device.DmaAddress = value;
                break;
            case DmaLength:
                device.DmaLength = (int)value;
                break;
            case DmaCommand:
                device.StartDma((uint)value);
                break;
            case SignalVector:
                _ = device.Interrupts.Signal((int)value);
                break;
            case Level:
                device.Interrupts.SetIntx(value != 0);
                break;
            case Sleep:
                Thread.Sleep((int)value);
                break;
        }

        return AccessResult.Ok;
    }

    public override void Reset(ResetKind kind) => Array.Clear(_scratch);
}

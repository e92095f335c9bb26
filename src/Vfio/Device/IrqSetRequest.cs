using Vfio.Abi;

namespace Vfio;

/// <summary>A checked SET_IRQS request: what every bus driver validates before it looks at its own matrix.</summary>
/// <remarks><c>vfio_set_irqs_validate_and_prepare</c>; spec vfio-core §5.10.</remarks>
/// <param name="Index">The interrupt index.</param>
/// <param name="Flags">One data flag; the action flags are not checked here.</param>
/// <param name="Start">First interrupt.</param>
/// <param name="Count">How many.</param>
/// <param name="DataSize">Bytes of data behind the structure: none, one or four for each interrupt.</param>
public readonly record struct IrqSetRequest(uint Index, IrqSetFlags Flags, uint Start, uint Count, uint DataSize)
{
    private const int HeaderSize = 20;

    /// <summary>The data flag.</summary>
    public IrqSetFlags Data => Flags & IrqSetFlags.DataMask;

    /// <summary>The action flags; a device answers <see cref="Errno.ENOTTY"/> unless it is exactly one that it has.</summary>
    public IrqSetFlags Action => Flags & IrqSetFlags.ActionMaskAll;

    /// <summary>Reads and checks a request.</summary>
    /// <param name="argument">The caller's <c>vfio_irq_set</c>.</param>
    /// <param name="counts">How many interrupts each index has; an index with none refuses everything.</param>
    /// <param name="request">The request.</param>
    /// <param name="takesData">False for a device that has no use for data: requests with some are then refused.</param>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EFAULT"/>; <see cref="Errno.EINVAL"/> for anything out of range.</returns>
    public static Errno TryRead(UserArgument argument, ReadOnlySpan<uint> counts, out IrqSetRequest request, bool takesData = true)
    {
        request = default;
        Errno error = argument.Read(0, out vfio_irq_set raw);
        if (error != Errno.None)
        {
            return error;
        }

        var flags = (IrqSetFlags)raw.flags;
        if (raw.argsz < HeaderSize
            || raw.index >= (uint)counts.Length
            || raw.count >= uint.MaxValue - raw.start
            || (flags & ~(IrqSetFlags.DataMask | IrqSetFlags.ActionMaskAll)) != 0)
        {
            return Errno.EINVAL;
        }

        uint available = counts[(int)raw.index];
        if (raw.start >= available || raw.start + raw.count > available)
        {
            return Errno.EINVAL;
        }

        uint? each = (flags & IrqSetFlags.DataMask) switch
        {
            IrqSetFlags.DataNone => 0,
            IrqSetFlags.DataBool => sizeof(byte),
            IrqSetFlags.DataEventFd => sizeof(int),
            _ => null,
        };
        if (each is not { } size || raw.argsz - HeaderSize < (ulong)raw.count * size || (size != 0 && !takesData))
        {
            return Errno.EINVAL;
        }

        request = new IrqSetRequest(raw.index, flags, raw.start, raw.count, raw.count * size);
        return Errno.None;
    }

    /// <summary>Reads the data: one number for each interrupt of the range.</summary>
    /// <param name="argument">The argument that the request was read from.</param>
    /// <param name="values">Receives bytes or descriptor numbers; ones for a request without data. As long as <see cref="Count"/>.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EFAULT"/>.</returns>
    public Errno ReadData(UserArgument argument, Span<int> values)
    {
        values.Fill(1);
        if (DataSize == 0)
        {
            return Errno.None;
        }

        bool isBytes = Data == IrqSetFlags.DataBool;
        for (int i = 0; i < values.Length; i++)
        {
            Errno error;
            if (isBytes)
            {
                error = argument.Read(HeaderSize + (ulong)i, out byte flag);
                values[i] = flag;
            }
            else
            {
                error = argument.Read(HeaderSize + ((ulong)i * sizeof(int)), out values[i]);
            }

            if (error != Errno.None)
            {
                return error;
            }
        }

        return Errno.None;
    }
}

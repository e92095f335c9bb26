namespace Vfio.Devices.Nvme;

/// <summary>
/// Lets writers of a namespace in together, and a fused compare and write alone: nothing is written between its compare and its write
/// (NVM Command Set 1.0 §2.1.4). Entering costs one interlocked operation.
/// </summary>
/// <remarks>Held around backend calls; a writer that waits here holds its queue's turn and nothing else.</remarks>
internal sealed class WriterGate
{
    private const int Alone = int.MinValue;

    /// <summary>Writers inside; with the sign bit while one wants to be, or is, alone.</summary>
    private int _state;

    public void Enter()
    {
        SpinWait spin = default;
        while (Interlocked.Increment(ref _state) < 0)
        {
            Interlocked.Decrement(ref _state);
            while (Volatile.Read(ref _state) < 0)
            {
                spin.SpinOnce();
            }
        }
    }

    public void Exit() => Interlocked.Decrement(ref _state);

    public void EnterAlone()
    {
        SpinWait spin = default;
        while ((Interlocked.Or(ref _state, Alone) & Alone) != 0)
        {
            spin.SpinOnce();
        }

        while (Volatile.Read(ref _state) != Alone)
        {
            spin.SpinOnce();
        }
    }

    public void ExitAlone() => Interlocked.And(ref _state, int.MaxValue);
}

namespace Vfio.Run;

/// <summary>What became of a trapped access.</summary>
internal enum EmulationResult
{
    /// <summary>It is done, and the instruction behind the program.</summary>
    Done,

    /// <summary>It is none: the address is not trapped. The signal is the program's.</summary>
    NotTrapped,

    /// <summary>The instruction cannot be done. The signal is the program's.</summary>
    Refused,

    /// <summary>Memory that the instruction also touches is not there. The signal is the program's.</summary>
    Failed,

    /// <summary>A divisor from the device is zero, or the quotient too large: SIGFPE.</summary>
    DivideError,

    /// <summary>The thread has been killed meanwhile.</summary>
    Gone,
}

namespace Vfio.Run.Tracing;

/// <summary>Knows which addresses of traced processes are registers of devices. The supervisor implements it; the tracer's threads call it.</summary>
internal interface ITrappedMemory
{
    /// <summary>Finds what an address of a process is.</summary>
    /// <param name="processId">The process (its thread group's id).</param>
    /// <param name="address">The address, mapped with access that the program has used.</param>
    /// <param name="target">What it is.</param>
    /// <returns>False when the address is none of ours: the program gets the signal as without a tracer.</returns>
    bool TryFind(int processId, ulong address, out TrappedAccess target);

    /// <summary>A process runs another program, or has ended: what is known of its mappings holds no more.</summary>
    /// <param name="processId">The process.</param>
    void Forget(int processId);
}

namespace Vfio;

/// <summary>The memory of a process of this system, whose <c>/proc</c> tells more about it.</summary>
public interface IProcessUserMemory : IUserMemory
{
    /// <summary>The process.</summary>
    int ProcessId { get; }
}

namespace Vfio.Bench;

/// <summary>Where something was measured.</summary>
/// <param name="Processor">The processor's model.</param>
/// <param name="Processors">How many this process may use.</param>
/// <param name="Memory">Memory of the machine.</param>
/// <param name="System">Operating system.</param>
/// <param name="Runtime">.NET runtime.</param>
/// <param name="Load">The load average of the last minute when the report was begun.</param>
internal sealed record MachineFacts(string Processor, int Processors, string Memory, string System, string Runtime, string Load);

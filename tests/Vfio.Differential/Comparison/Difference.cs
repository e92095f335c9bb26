namespace Vfio.Differential;

/// <summary>A field of a call that the kernel and the core answer differently.</summary>
/// <param name="Scenario">Subject and scenario, such as <c>group/status</c>.</param>
/// <param name="Step">The call's number in the scenario, from 1.</param>
/// <param name="Field">The field, <c>result</c> or <c>call</c> (when the calls themselves differ).</param>
/// <param name="Kernel">The kernel's value; a dash when it left the field alone.</param>
/// <param name="Core">The core's value, likewise.</param>
internal sealed record Difference(string Scenario, int Step, string Field, string Kernel, string Core)
{
    public override string ToString() => $"{Scenario} call {Step}: {Field} is {Kernel} in the kernel, {Core} in the core";
}

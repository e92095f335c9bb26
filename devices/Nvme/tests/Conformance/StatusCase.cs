using Vfio.Devices.Nvme.Tests.Harness;

namespace Vfio.Devices.Nvme.Tests.Conformance;

/// <summary>A command, the field that is wrong or at its edge, and the status that it gets.</summary>
/// <param name="Name"><c>command/field-condition</c>.</param>
/// <param name="IsAdmin">Whether it goes to the admin queue, else to I/O queue 1.</param>
/// <param name="Status">Code and type.</param>
/// <param name="Build">Makes the command. The rig has I/O queue pair 1, completion queue 2, and data at <see cref="NvmeRig.Data"/>.</param>
/// <param name="Options">The controller when it is another than <see cref="StatusCases.Options"/>.</param>
internal sealed record StatusCase(string Name, bool IsAdmin, int Status, Func<NvmeRig, RawCommand> Build, Func<NvmeOptions>? Options = null);

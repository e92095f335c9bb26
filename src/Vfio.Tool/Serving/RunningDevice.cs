using Vfio.User;

namespace Vfio.Tool.Serving;

/// <summary>A device that is served.</summary>
/// <param name="Description">What it was made from.</param>
/// <param name="Registration">Its registration with the host.</param>
/// <param name="Server">Its server.</param>
internal sealed record RunningDevice(ServedDevice Description, VfioRegistration Registration, VfioUserServer Server);

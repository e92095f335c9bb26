using System.Runtime.InteropServices;

namespace Vfio.Linux;

/// <summary>Who is at the other end of a UNIX socket, as the kernel noted it when the connection was made (<c>SO_PEERCRED</c>).</summary>
/// <param name="ProcessId">Process id in our pid namespace; 0 when the peer is outside it. It may have been reused since.</param>
/// <param name="UserId">Effective user id.</param>
/// <param name="GroupId">Effective group id.</param>
[StructLayout(LayoutKind.Auto)]
public readonly record struct PeerCredentials(int ProcessId, uint UserId, uint GroupId);

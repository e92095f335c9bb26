using System.Runtime.InteropServices;
using Vfio.Linux;

namespace Vfio.User;

/// <summary>What a server and its client do, at the moment of the question.</summary>
/// <param name="Client">Who the client is, as the kernel noted it when it connected; null when nobody is connected.</param>
/// <param name="Connected">How long the client has been connected; zero without one.</param>
/// <param name="Connections">Clients so far, the present one included.</param>
/// <param name="Messages">Messages that the present client has sent.</param>
/// <param name="DmaAreas">Areas of memory that it has mapped now.</param>
/// <param name="DmaBytes">Bytes in them.</param>
[StructLayout(LayoutKind.Auto)]
public readonly record struct ServerStatistics(
    PeerCredentials? Client, TimeSpan Connected, long Connections, long Messages, int DmaAreas, ulong DmaBytes);

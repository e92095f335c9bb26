using System.Runtime.InteropServices;
using Vfio.Iommu;
using Vfio.Linux;

namespace Vfio.User;

/// <summary>What a server and its client do, at the moment of the question.</summary>
/// <param name="Client">Who the client is, as the kernel noted it when it connected; null when nobody is connected.</param>
/// <param name="Connected">How long the client has been connected; zero without one.</param>
/// <param name="Connections">Clients so far, the present one included.</param>
/// <param name="Messages">Messages that the present client has sent.</param>
/// <param name="DmaMapped">The areas whose memory is mapped into this process: transfers are copies.</param>
/// <param name="DmaByDescriptor">Those that are read and written through their descriptor: a system call for each transfer.</param>
/// <param name="DmaByMessage">Those that the client must be asked for: a message and its answer for each transfer.</param>
/// <param name="DmaMappings">Mappings that the mapped areas share.</param>
/// <param name="DmaDescriptors">Descriptors of ordinary files that the areas by descriptor share.</param>
[StructLayout(LayoutKind.Auto)]
public readonly record struct ServerStatistics(
    PeerCredentials? Client,
    TimeSpan Connected,
    long Connections,
    long Messages,
    AreaUsage DmaMapped,
    AreaUsage DmaByDescriptor,
    AreaUsage DmaByMessage,
    int DmaMappings,
    int DmaDescriptors)
{
    /// <summary>Areas of memory that the client has mapped now.</summary>
    public int DmaAreas => DmaMapped.Areas + DmaByDescriptor.Areas + DmaByMessage.Areas;

    /// <summary>Bytes in them.</summary>
    public ulong DmaBytes => unchecked(DmaMapped.Bytes + DmaByDescriptor.Bytes + DmaByMessage.Bytes);
}

namespace Vfio.Devices.Nvme.Tests.Harness;

/// <summary>A request as the server sees it.</summary>
internal sealed record NbdScriptRequest(ushort Command, ulong Cookie, ulong Offset, uint Length, byte[] Data);

namespace Vfio.Run;

/// <summary>A character device node of the core.</summary>
/// <param name="Name">The name in its directory.</param>
internal sealed record DeviceNode(string Name) : VirtualNode(Name);

/// <summary>An attribute whose content is no text.</summary>
/// <param name="Name">The name in its directory.</param>
/// <param name="Read">Its content.</param>
internal sealed record BinaryAttribute(string Name, Func<byte[]> Read) : VirtualNode(Name);

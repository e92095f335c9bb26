namespace Vfio;

/// <summary>Something in an <see cref="IVirtualTree"/>.</summary>
/// <param name="Name">Its name in its directory.</param>
public abstract record VirtualNode(string Name);

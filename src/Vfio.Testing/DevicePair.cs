using Vfio.User;

namespace Vfio.Testing;

/// <summary>Puts a device and a user of it together in one process.</summary>
/// <example>
/// <code>
/// await using var pair = DevicePair.OverSocket(() => new MyDevice());
/// Assert.Equal(0x1234u, pair.Connection.Bar(0).Read32(0));
/// </code>
/// </example>
public static class DevicePair
{
    /// <summary>Makes a device and opens it in this process, without a socket.</summary>
    /// <typeparam name="TDevice">The device class.</typeparam>
    /// <param name="create">Makes the device.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <returns>Both; dispose them together.</returns>
    public static DevicePair<TDevice> Local<TDevice>(Func<TDevice> create, DevicePairOptions? options = null)
        where TDevice : VfioDevice
        => DevicePair<TDevice>.Create(create, options, serve: false, connect: true);

    /// <summary>Makes a device, serves it on a socket of its own, and connects to it.</summary>
    /// <typeparam name="TDevice">The device class.</typeparam>
    /// <param name="create">Makes the device.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <returns>Device, server and client; dispose them together.</returns>
    public static DevicePair<TDevice> OverSocket<TDevice>(Func<TDevice> create, DevicePairOptions? options = null)
        where TDevice : VfioDevice
        => DevicePair<TDevice>.Create(create, options, serve: true, connect: true);

    /// <summary>Makes a device and serves it on a socket of its own; nobody is connected yet.</summary>
    /// <typeparam name="TDevice">The device class.</typeparam>
    /// <param name="create">Makes the device.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <returns>Device and server; <see cref="DevicePair{TDevice}.Connect"/> and <see cref="DevicePair{TDevice}.ConnectRaw"/> make clients.</returns>
    public static DevicePair<TDevice> Serve<TDevice>(Func<TDevice> create, DevicePairOptions? options = null)
        where TDevice : VfioDevice
        => DevicePair<TDevice>.Create(create, options, serve: true, connect: false);
}

using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Testing;

/// <summary>Migrates devices by a client's calls, as a hypervisor does.</summary>
public static class DeviceState
{
    private const int PieceLength = 256 * 1024;

    /// <summary>Stops a device and reads its state. It is in STOP_COPY afterwards.</summary>
    /// <param name="connection">The way to the device.</param>
    /// <returns>The whole stream.</returns>
    /// <exception cref="VfioException">The device cannot be migrated, or did not stop.</exception>
    public static byte[] Save(VfioConnection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        VfioException.ThrowIfError(connection.TrySetMigrationState(MigrationState.StopCopy), "stop the device and save its state");
        return ReadRest(connection);
    }

    /// <summary>Reads what a saving device has to tell now.</summary>
    /// <param name="connection">The way to the device.</param>
    /// <returns>The bytes: in pre-copy those that wait, in stop-copy all that are left.</returns>
    /// <exception cref="VfioException">Reading failed.</exception>
    public static byte[] ReadRest(VfioConnection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        using var state = new MemoryStream();
        byte[] piece = new byte[PieceLength];
        while (true)
        {
            IoResult result = connection.TryReadMigrationData(piece);
            if (result.IsError && result.Error != Errno.ENOMSG)
            {
                throw new VfioException(result.Error, "read the state", $"The device answered after {state.Length} bytes.");
            }

            if (result.IsError || result.Count == 0)
            {
                return state.ToArray();
            }

            state.Write(piece.AsSpan(0, (int)result.Count));
        }
    }

    /// <summary>Gives a running device a state and lets it go on from there.</summary>
    /// <param name="connection">The way to the device.</param>
    /// <param name="state">What <see cref="Save"/> gave.</param>
    /// <returns><see cref="Errno.None"/>, or why the device refuses it; its state is RESUMING or STOP then, and a reset gets it out of there.</returns>
    public static Errno TryRestore(VfioConnection connection, ReadOnlySpan<byte> state)
    {
        ArgumentNullException.ThrowIfNull(connection);
        Errno error = connection.TrySetMigrationState(MigrationState.Resuming);
        while (error == Errno.None && !state.IsEmpty)
        {
            IoResult result = connection.TryWriteMigrationData(state[..Math.Min(PieceLength, state.Length)]);
            error = result.IsError ? result.Error : Errno.None;
            state = result.IsError ? state : state[(int)result.Count..];
        }

        return error == Errno.None ? connection.TrySetMigrationState(MigrationState.Running) : error;
    }
}

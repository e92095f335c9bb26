namespace Vfio.Tool.Qemu;

/// <summary>The test Linux with its console on this process's standard input and output.</summary>
internal static class GuestConsole
{
    /// <summary>
    /// Boots it and waits until it is off. The terminal belongs to the guest meanwhile: Ctrl-C is the guest's; Ctrl-A x ends the machine.
    /// </summary>
    /// <returns>QEMU's exit status.</returns>
    /// <exception cref="OperationCanceledException">It was asked to end; the machine is off.</exception>
    public static async Task<int> RunAsync(GuestOptions options, CancellationToken cancellationToken)
    {
        using ScratchFolder scratch = new();
        // Multiplexed for the sake of Ctrl-A x, and without signals, so that Ctrl-C is a character like any other.
        QemuProcess qemu = QemuProcess.StartOnConsole(
            [
                .. GuestCommandLine.Build(options, scratch, "vfio.shell"),
                "-chardev", "stdio,id=console,mux=on,signal=off", "-serial", "chardev:console",
            ],
            scratch);
        try
        {
            await qemu.Exited.WaitAsync(cancellationToken);
            return qemu.ExitCode;
        }
        finally
        {
            await qemu.StopAsync();
        }
    }
}

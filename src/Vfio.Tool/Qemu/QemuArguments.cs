namespace Vfio.Tool.Qemu;

/// <summary>The parts of a command line that both lanes have.</summary>
internal static class QemuArguments
{
    /// <summary>A q35 machine with this much RAM, as a memfd that others can map or as memory of QEMU's own.</summary>
    public static IEnumerable<string> Machine(int megabytes, bool shared)
    {
        string backend = shared
            ? $"memory-backend-memfd,id=m0,size={megabytes}M,share=on"
            : $"memory-backend-ram,id=m0,size={megabytes}M,share=off";
        return ["-object", backend, "-machine", "q35,memory-backend=m0", "-m", $"{megabytes}"];
    }

    /// <summary>The control connection, which QEMU opens to this socket.</summary>
    public static IEnumerable<string> Qmp(string socketPath) =>
        ["-chardev", $"socket,id=qmp,path={socketPath}", "-mon", "chardev=qmp,mode=control"];

    /// <summary>The devices, in order.</summary>
    public static IEnumerable<string> Devices(IEnumerable<QemuDevice> devices) =>
        devices.SelectMany(device => (string[])["-device", device.ToString()]);
}

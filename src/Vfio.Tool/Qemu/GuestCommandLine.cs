namespace Vfio.Tool.Qemu;

/// <summary>QEMU's arguments for a q35 machine with the test Linux, without its serial ports.</summary>
internal static class GuestCommandLine
{
    /// <summary>Makes the arguments, and the initramfs in the scratch folder.</summary>
    /// <param name="options">What the machine is made of.</param>
    /// <param name="scratch">Where the initramfs goes; it must last as long as the machine.</param>
    /// <param name="service">What the guest's first process starts: <c>vfio.agent</c> or <c>vfio.shell</c>.</param>
    /// <exception cref="QemuException">A part of the installation is missing.</exception>
    public static List<string> Build(GuestOptions options, ScratchFolder scratch, string service)
    {
        List<string> arguments =
        [
            "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", $"{options.Processors}",
            .. QemuArguments.Machine(options.Memory, options.SharedMemory),
            .. Start(options, scratch, service),
        ];
        if (!options.AllowReboot)
        {
            arguments.Add("-no-reboot");
        }

        if (options.Iommu)
        {
            // Caching mode: a vfio-user device has to hear of every mapping. Before the devices that it translates for.
            arguments.AddRange(["-device", "intel-iommu,intremap=on,caching-mode=on"]);
        }

        for (int port = 0; port < options.RootPorts; port++)
        {
            arguments.AddRange(["-device", $"pcie-root-port,id=rp{port},chassis={port + 1},slot={port + 1}"]);
        }

        arguments.AddRange(options.Arguments);
        arguments.AddRange(QemuArguments.Devices(options.Devices));
        return arguments;
    }

    private static string[] Start(GuestOptions options, ScratchFolder scratch, string service) => options.Boot switch
    {
        GuestBoot.Bios => [],
        GuestBoot.Uefi => ["-bios", QemuInstallation.Current.Uefi],
        _ =>
        [
            "-kernel", options.Kernel ?? (options.DiskTools ? QemuInstallation.Current.DiskKernel
                : options.Drivers.Count > 0 ? QemuInstallation.Current.DriverKernel
                : QemuInstallation.Current.Kernel),
            "-initrd", BuildInitramfs(options, scratch),
            "-append", "console=ttyS0 quiet panic=-1 nokaslr mitigations=off cryptomgr.notests tsc=reliable "
                + $"no_timer_check random.trust_cpu=on {service} {options.KernelArguments}",
        ],
    };

    private static string BuildInitramfs(GuestOptions options, ScratchFolder scratch)
    {
        QemuInstallation installation = QemuInstallation.Current;
        string path = scratch.File("initramfs");
        using FileStream stream = File.Create(path);
        // Modules fit the kernel that they were made with only.
        string[] parts = options switch
        {
            { DiskTools: true } => [installation.Initramfs, installation.DiskTools],
            { Drivers.Count: > 0 } => [installation.Initramfs, installation.DriverModules],
            { Kernel: null } => [installation.Initramfs, installation.KernelModules],
            _ => [installation.Initramfs],
        };
        foreach (string part in parts)
        {
            using FileStream source = File.OpenRead(part);
            source.CopyTo(stream);
        }

        if (options.Files.Count + options.Drivers.Count > 0)
        {
            var archive = new CpioArchive(stream);
            if (options.Drivers.Count > 0)
            {
                // In place of the list of the modules that Debian's kernel needs to stand in for ours.
                string list = scratch.File("modules");
                File.WriteAllLines(list, options.Drivers.SelectMany(installation.ModulesOf).Distinct(StringComparer.Ordinal));
                archive.AddFromHost("/modules.load", list);
            }

            foreach ((string guestPath, string hostPath) in options.Files)
            {
                archive.AddFromHost(guestPath, hostPath);
            }

            archive.Complete();
        }

        return path;
    }
}

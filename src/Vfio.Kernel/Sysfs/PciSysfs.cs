using System.Globalization;
using Vfio.Abi;

namespace Vfio.Kernel;

/// <summary>The PCI functions of a kernel and their IOMMU groups, as <c>/sys</c> has them. Nothing is kept: each question reads anew.</summary>
/// <param name="files">Where <c>/sys</c> is.</param>
public sealed class PciSysfs(KernelFiles files)
{
    /// <summary>Every function, by address.</summary>
    /// <returns>The functions; none without PCI.</returns>
    public IReadOnlyList<PciFunction> GetFunctions() => !Directory.Exists(files.PciDevices) ? [] :
    [
        .. Directory.EnumerateFileSystemEntries(files.PciDevices)
            .Select(static path => PciAddress.TryParse(Path.GetFileName(path), out PciAddress address) ? address : (PciAddress?)null)
            .OfType<PciAddress>()
            .Select(Find)
            .OfType<PciFunction>()
            .OrderBy(static function => function.Address),
    ];

    /// <summary>Finds a function by its address.</summary>
    /// <param name="address">The address.</param>
    /// <returns>The function, or null when there is none.</returns>
    public PciFunction? Find(PciAddress address)
    {
        string folder = FolderOf(address);
        return ReadNumber(folder, "vendor") is { } vendor && ReadNumber(folder, "device") is { } device
            ? new PciFunction(
                address,
                (ushort)vendor,
                (ushort)device,
                ReadNumber(folder, "class") ?? 0,
                LinkName(folder, "driver"),
                ReadText(folder, "driver_override") is { } only and not "(null)" and not "" ? only : null,
                int.TryParse(LinkName(folder, "iommu_group"), NumberStyles.None, CultureInfo.InvariantCulture, out int group) ? group : null,
                FirstName(Path.Combine(folder, "vfio-dev")))
            : null;
    }

    /// <summary>Finds functions by vendor and device.</summary>
    /// <param name="vendorId">Vendor.</param>
    /// <param name="deviceId">Device.</param>
    /// <returns>The functions, by address.</returns>
    public IReadOnlyList<PciFunction> FindById(ushort vendorId, ushort deviceId)
        => [.. GetFunctions().Where(function => function.VendorId == vendorId && function.DeviceId == deviceId)];

    /// <summary>Finds functions by class.</summary>
    /// <param name="baseClass">Base class, as 1 for storage.</param>
    /// <param name="subclass">Subclass, as 8 for non-volatile memory; null for every one.</param>
    /// <param name="programmingInterface">Programming interface, as 2 for NVMe; null for every one.</param>
    /// <returns>The functions, by address.</returns>
    public IReadOnlyList<PciFunction> FindByClass(byte baseClass, byte? subclass = null, byte? programmingInterface = null) =>
    [
        .. GetFunctions().Where(function => function.ClassCode >> 16 == baseClass
            && (subclass is null || (byte)(function.ClassCode >> 8) == subclass)
            && (programmingInterface is null || (byte)function.ClassCode == programmingInterface)),
    ];

    /// <summary>The PCI functions of an IOMMU group: those that an IOMMU cannot tell apart, so that they go to one user together.</summary>
    /// <param name="group">The group's number.</param>
    /// <returns>The functions, by address; none when there is no such group.</returns>
    public IReadOnlyList<PciFunction> GetGroupMembers(int group)
    {
        string folder = files.Sys(string.Create(CultureInfo.InvariantCulture, $"kernel/iommu_groups/{group}/devices"));
        return !Directory.Exists(folder) ? [] :
        [
            .. Directory.EnumerateFileSystemEntries(folder)
                .Select(path => PciAddress.TryParse(Path.GetFileName(path), out PciAddress address) ? Find(address) : null)
                .OfType<PciFunction>()
                .OrderBy(static function => function.Address),
        ];
    }

    /// <summary>Gives a function to a driver, away from the one that has it. Does nothing when that driver has it already.</summary>
    /// <param name="address">The function.</param>
    /// <param name="driver">The driver.</param>
    /// <exception cref="VfioException">There is no such function or driver, the driver did not take it, or the caller may not.</exception>
    /// <remarks>By <c>driver_override</c>, so that no other function of the same kind changes hands (Documentation/ABI/testing/sysfs-bus-pci).</remarks>
    public void Bind(PciAddress address, string driver = "vfio-pci")
    {
        string operation = $"bind {address} to {driver}";
        PciFunction function = Require(address, operation);
        if (function.Driver == driver)
        {
            return;
        }

        if (!Directory.Exists(files.Sys($"bus/pci/drivers/{driver}")))
        {
            throw new VfioException(Errno.ENODEV, operation, Finding.ModuleMissing(driver).ToSentences());
        }

        Write(FolderOf(address), "driver_override", driver, operation);
        Release(function, operation);
        Write(files.Sys("bus/pci"), "drivers_probe", address.ToString(), operation);
        Confirm(address, driver, operation);
    }

    /// <summary>Takes a function away from a VFIO driver and lets the kernel's own driver for it have it again, if there is one.</summary>
    /// <param name="address">The function.</param>
    /// <exception cref="VfioException">There is no such function, another kind of driver has it, it did not let go, or the caller may not.</exception>
    public void Unbind(PciAddress address)
    {
        string operation = $"unbind {address}";
        PciFunction function = Require(address, operation);
        if (function.HoldsGroupBack)
        {
            throw new VfioException(Errno.EBUSY, operation, $"It is in the hands of {function.Driver}, which is no VFIO driver; nothing was done.");
        }

        // A line end alone lifts the restriction.
        Write(FolderOf(address), "driver_override", "\n", operation);
        Release(function, operation);
        Write(files.Sys("bus/pci"), "drivers_probe", address.ToString(), operation);
        if (Find(address) is { IsHeldByVfio: true } still)
        {
            throw new VfioException(Errno.EBUSY, operation, $"{still.Driver} took it again: it was told of the id {still.Id} by its new_id or ids=.");
        }
    }

    /// <summary>Reads an attribute of one line.</summary>
    internal static string? ReadText(string folder, string name)
    {
        try
        {
            return File.ReadAllText(Path.Combine(folder, name)).Trim();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static uint? ReadNumber(string folder, string name)
        => ReadText(folder, name) is { } text && text.StartsWith("0x", StringComparison.Ordinal)
            && uint.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out uint value)
                ? value
                : null;

    private static string? LinkName(string folder, string name)
    {
        try
        {
            return Path.GetFileName(new FileInfo(Path.Combine(folder, name)).LinkTarget);
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static string? FirstName(string folder)
    {
        try
        {
            return Directory.EnumerateFileSystemEntries(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal).FirstOrDefault();
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static void Write(string folder, string name, string text, string operation)
    {
        string path = Path.Combine(folder, name);
        try
        {
            // One write, as attributes want it.
            using FileStream stream = new(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
            stream.Write(System.Text.Encoding.ASCII.GetBytes(text));
        }
        catch (UnauthorizedAccessException exception)
        {
            throw new VfioException(Errno.EACCES, operation, $"Only root may write {path}: run the same command with sudo.", exception);
        }
        catch (FileNotFoundException exception)
        {
            throw new VfioException(Errno.ENOENT, operation, $"There is no {path}.", exception);
        }
        catch (IOException exception)
        {
            throw new VfioException(Errno.EIO, operation, $"Writing '{text.Trim()}' to {path} failed: {exception.Message}", exception);
        }
    }

    private string FolderOf(PciAddress address) => Path.Combine(files.PciDevices, address.ToString());

    private PciFunction Require(PciAddress address, string operation)
        => Find(address) ?? throw new VfioException(Errno.ENODEV, operation, Finding.NoFunction(address.ToString()).ToSentences());

    private void Release(PciFunction function, string operation)
    {
        if (function.Driver is { } driver)
        {
            Write(files.Sys($"bus/pci/drivers/{driver}"), "unbind", function.Address.ToString(), operation);
        }
    }

    private void Confirm(PciAddress address, string driver, string operation)
    {
        string? now = Find(address)?.Driver;
        if (now != driver)
        {
            throw new VfioException(
                Errno.EIO,
                operation,
                $"The kernel accepted the request, but {now ?? "no driver"} has the function now; the kernel's log says why {driver} refused.");
        }
    }
}

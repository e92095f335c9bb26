using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Differential;

/// <summary>The running kernel.</summary>
internal sealed class KernelSystem : IVfioSystem
{
    private readonly Dictionary<int, FileDescriptor> _descriptors = [];

    public string DeviceName(Target target) => Targets.Address(target);

    public string GroupPath(Target target) => $"/dev/vfio/{Path.GetFileName(File.ResolveLinkTarget($"{Sysfs(target)}/iommu_group", returnFinalTarget: false)!.FullName)}";

    public string DevicePath(Target target) => $"/dev/vfio/devices/{Path.GetFileName(Directory.GetDirectories($"{Sysfs(target)}/vfio-dev")[0])}";

    public IoResult Open(string path)
    {
        Errno error = FileDescriptor.TryOpen(path, OpenMode.ReadWrite, out FileDescriptor? descriptor);
        return error == Errno.None ? Keep(descriptor!) : error;
    }

    public IoResult Close(int descriptor)
    {
        if (!_descriptors.Remove(descriptor, out FileDescriptor? file))
        {
            return Errno.EBADF;
        }

        file.Dispose();
        return IoResult.Success();
    }

    public IoResult Ioctl(int descriptor, uint request, ulong argument)
    {
        using var file = new FileDescriptor(descriptor, ownsHandle: false);
        return file.IsInvalid ? Errno.EBADF : file.Ioctl(request, unchecked((nint)argument));
    }

    public IoResult Read(int descriptor, Span<byte> buffer, ulong? position)
    {
        using var file = new FileDescriptor(descriptor, ownsHandle: false);
        return file.IsInvalid ? Errno.EBADF : position is null ? file.Read(buffer) : file.ReadAt(buffer, position.Value);
    }

    public IoResult Write(int descriptor, ReadOnlySpan<byte> buffer, ulong? position)
    {
        using var file = new FileDescriptor(descriptor, ownsHandle: false);
        return file.IsInvalid ? Errno.EBADF : position is null ? file.Write(buffer) : file.WriteAt(buffer, position.Value);
    }

    public IoResult Poll(int descriptor)
    {
        using var file = new FileDescriptor(descriptor, ownsHandle: false);
        return file.IsInvalid ? Errno.EBADF : Linux.Poll.Wait(file, EventLoopEvents.Read | EventLoopEvents.Write, 0);
    }

    public Errno Map(int descriptor, ulong position, ulong length, MemoryProtection protection, bool shared, out IDisposable? mapping)
    {
        mapping = null;
        using var file = new FileDescriptor(descriptor, ownsHandle: false);
        if (file.IsInvalid)
        {
            return Errno.EBADF;
        }

        nint address = Interop.Map(0, (nuint)length, (int)protection, shared ? Interop.Shared : Interop.Private, file, (long)position);
        if (address == -1)
        {
            return (Errno)Marshal.GetLastPInvokeError();
        }

        mapping = new Mapping(address, (nuint)length);
        return Errno.None;
    }

    public int Adopt(FileDescriptor descriptor) => descriptor.Number;

    public void Keep(int descriptor) => Keep(new FileDescriptor(descriptor, ownsHandle: true));

    public void Dispose()
    {
        foreach (FileDescriptor descriptor in _descriptors.Values)
        {
            descriptor.Dispose();
        }

        _descriptors.Clear();
    }

    private static string Sysfs(Target target) => $"/sys/bus/pci/devices/{Targets.Address(target)}";

    private IoResult Keep(FileDescriptor descriptor)
    {
        _descriptors.Add(descriptor.Number, descriptor);
        return IoResult.Success(descriptor.Number);
    }

    private sealed class Mapping(nint address, nuint length) : IDisposable
    {
        public void Dispose() => _ = Interop.Unmap(address, length);
    }
}

using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>The descriptors of the process whose call is served: one for each serving thread, set up for each call.</summary>
internal sealed class CallerFiles(OpenFileTable table, SystemCallListener listener, DescriptorRange range) : FileTable
{
    private readonly List<FileDescriptor> _borrowed = [];
    private SupervisedProcess? _process;
    private ulong _call;

    /// <summary>Whether descriptors that the call makes are closed by an exec.</summary>
    public bool CloseOnExec { get; set; }

    /// <summary>The name of the next file that is installed.</summary>
    public string? Name { get; set; }

    /// <summary>The call.</summary>
    public ulong Call => _call;

    public void Begin(SupervisedProcess process, ulong call)
    {
        _process = process;
        _call = call;
        Name = null;
        CloseOnExec = true;
    }

    /// <summary>Gives back what was borrowed for the call.</summary>
    public void End()
    {
        foreach (FileDescriptor descriptor in _borrowed)
        {
            descriptor.Dispose();
        }

        _borrowed.Clear();
    }

    public override Errno TryGet(int number, out object? file)
    {
        if (_process!.Find(number) is { } open)
        {
            file = open.File;
            return Errno.None;
        }

        file = null;
        if (_process.Descriptor.TryGetFile(number, out FileDescriptor? descriptor) != Errno.None)
        {
            return Errno.EBADF;
        }

        _borrowed.Add(descriptor!);
        file = descriptor;
        return Errno.None;
    }

    public override IoResult Install(object file)
    {
        int number = _process!.FindFreeNumber(range, range.First);
        if (number < 0)
        {
            return Errno.EMFILE;
        }

        if (file is FileDescriptor descriptor)
        {
            IoResult given = listener.TryGive(_call, descriptor, CloseOnExec);
            if (!given.IsError)
            {
                descriptor.Dispose();
            }

            return given;
        }

        Errno error = table.TryAdd((VfioFile)file, Name ?? KindOf(file), out OpenFile? open, out FileDescriptor? standIn);
        if (error != Errno.None)
        {
            return error;
        }

        IoResult result = listener.TryGive(_call, standIn!, number, CloseOnExec);
        if (result.IsError)
        {
            table.Remove(open!);
        }
        else
        {
            _process.Note(number, open!);
        }

        // From here on the program's own are the last ones.
        standIn!.Dispose();
        return result;
    }

    /// <summary>Makes what was given worthless: a supervisor can't take a descriptor out of another process.</summary>
    public override void Remove(int number)
    {
        if (_process!.Find(number) is { } open)
        {
            table.Remove(open);
            _process.Forget(number);
        }
    }

    private static string KindOf(object file) => file switch
    {
        VfioDeviceFile device => $"/dev/vfio/devices/{device.Device.NodeName}",
        VfioContainer => "/dev/vfio/vfio",
        VfioGroupFile group => $"/dev/vfio/{group.Group.NodeName}",
        Iommu.IommufdContext => "/dev/iommu",
        _ => "anon_inode:[iommufd]",
    };
}

using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

public sealed partial class IommufdContext
{
    private bool _noIommu;

    /// <summary>Whether the context serves a group without IOMMU, so that it never has a compatibility address space.</summary>
    public bool IsNoIommu
    {
        get
        {
            lock (_lock)
            {
                return _noIommu;
            }
        }
    }

    /// <summary>The address space that stands for a container's, when the context is used in a container's place.</summary>
    /// <param name="id">Its id.</param>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.ENODEV"/> when there is none.</returns>
    /// <remarks><c>iommufd_vfio_compat_ioas_get_id</c>.</remarks>
    public Errno GetCompatIoas(out uint id)
    {
        lock (_lock)
        {
            id = _compatIoas;
            return id == 0 ? Errno.ENODEV : Errno.None;
        }
    }

    /// <summary>Makes the compatibility address space if there is none.</summary>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EINVAL"/> in no-IOMMU mode; <see cref="Errno.ENOMEM"/> when the context is full.</returns>
    /// <remarks><c>iommufd_vfio_compat_ioas_create</c>.</remarks>
    public Errno EnsureCompatIoas()
    {
        Ioas created = new(this);
        lock (_lock)
        {
            if (_noIommu)
            {
                return Errno.EINVAL;
            }

            if (_compatIoas != 0)
            {
                return Errno.None;
            }

            Errno error = Publish(created);
            _compatIoas = error == Errno.None ? created.Id : 0;
            return error;
        }
    }

    /// <summary>Puts the context in no-IOMMU mode.</summary>
    /// <returns><see cref="Errno.None"/>, or <see cref="Errno.EINVAL"/> when it has a compatibility address space.</returns>
    /// <remarks><c>iommufd_vfio_compat_set_no_iommu</c>.</remarks>
    public Errno SetNoIommu()
    {
        lock (_lock)
        {
            if (_compatIoas != 0)
            {
                return Errno.EINVAL;
            }

            _noIommu = true;
            return Errno.None;
        }
    }

    private static IoResult VfioIoasCommand(IommufdContext context, ref iommu_vfio_ioas command, Reply reply)
    {
        if (command.__reserved != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        switch ((uint)command.op)
        {
            case IommufdUapi.IOMMU_VFIO_IOAS_GET:
                lock (context._lock)
                {
                    command.ioas_id = context._compatIoas;
                }

                return command.ioas_id == 0 ? Errno.ENODEV : reply.Write(in command);
            case IommufdUapi.IOMMU_VFIO_IOAS_SET:
                Errno error = context.TryGet(command.ioas_id, out Ioas? ioas);
                if (error == Errno.None)
                {
                    lock (context._lock)
                    {
                        context._compatIoas = ioas!.Id;
                    }

                    context.Put(ioas!);
                }

                return error;
            case IommufdUapi.IOMMU_VFIO_IOAS_CLEAR:
                lock (context._lock)
                {
                    context._compatIoas = 0;
                }

                return IoResult.Success();
            default:
                return Errno.EOPNOTSUPP;
        }
    }
}

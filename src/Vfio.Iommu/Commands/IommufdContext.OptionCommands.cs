using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu;

public sealed partial class IommufdContext
{
    private static IoResult OptionCommand(IommufdContext context, ref iommu_option command, Reply reply)
    {
        if (command.__reserved != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        Errno error = command.option_id switch
        {
            IommufdUapi.IOMMU_OPTION_RLIMIT_MODE => context.AccountingOption(ref command),
            IommufdUapi.IOMMU_OPTION_HUGE_PAGES => context.LargePagesOption(ref command),
            _ => Errno.EOPNOTSUPP,
        };
        const ulong ValueOffset = 16;
        return error != Errno.None ? error : reply.Argument.Write(ValueOffset, command.val64);
    }

    private Errno AccountingOption(ref iommu_option command)
    {
        if (command.object_id != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        lock (_lock)
        {
            switch ((uint)command.op)
            {
                case IommufdUapi.IOMMU_OPTION_OP_GET:
                    command.val64 = _accountByProcess ? 1u : 0u;
                    return Errno.None;
                case IommufdUapi.IOMMU_OPTION_OP_SET:
                    if ((_caller().Capabilities & CallerCapabilities.SysResource) == 0)
                    {
                        return Errno.EPERM;
                    }

                    if (_objects.Count != 0)
                    {
                        return Errno.EBUSY;
                    }

                    if (command.val64 > 1)
                    {
                        return Errno.EINVAL;
                    }

                    _accountByProcess = command.val64 == 1;
                    return Errno.None;
                default:
                    return Errno.EOPNOTSUPP;
            }
        }
    }

    private Errno LargePagesOption(ref iommu_option command)
    {
        Errno error = TryGet(command.object_id, out Ioas? ioas);
        if (error != Errno.None)
        {
            return error;
        }

        switch ((uint)command.op)
        {
            case IommufdUapi.IOMMU_OPTION_OP_GET:
                command.val64 = ioas!.Map.LargePages ? 1u : 0u;
                break;
            case IommufdUapi.IOMMU_OPTION_OP_SET:
                error = command.val64 > 1 ? Errno.EINVAL : ioas!.Map.SetLargePages(command.val64 == 1);
                break;
            default:
                error = Errno.EOPNOTSUPP;
                break;
        }

        Put(ioas!);
        return error;
    }

    private static IoResult ChangeProcessCommand(IommufdContext context, ref iommu_ioas_change_process command, Reply reply)
        => command.__reserved != 0 ? Errno.EOPNOTSUPP : context.ChangeProcess();
}

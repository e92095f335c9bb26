using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Iommu.Testing;

/// <summary>
/// The operations by which the kernel's selftests look behind iommufd: mock devices and their domains, accesses as a driver has them, and checks of what is
/// mapped and pinned. Only for programs that test iommufd: whoever has them can make devices and reserve addresses at will.
/// </summary>
/// <remarks>
/// One object serves all contexts of a host (<c>VfioHostOptions.IommufdExtension</c>), as pages are pinned by all of them.
/// <c>iommufd_test</c> of the kernel's <c>selftest.c</c>; spec iommufd §7.10.
/// </remarks>
public sealed partial class IommufdTestCommands : IIommufdExtension
{
    /// <summary>The number of the command that carries all operations (<c>IOMMU_TEST_CMD</c>).</summary>
    public const uint Command = ((uint)';' << 8) | 0xA0;

    /// <summary>The end of the structure's last field.</summary>
    private const int MinimumSize = 68;
    private const ulong PageSize = 4096;

    /// <summary>What one operation may copy or pin.</summary>
    private const ulong MaximumLength = 16 << 20;

    private readonly PinnedFrames _pinned = new();
    private int _groups;

    private delegate Errno Handler(IommufdTestCommands commands, IommufdContext context, ref TestCommand command, UserArgument argument);

    /// <inheritdoc/>
    public void Mapping(MemorySource source) => _pinned.Add(source);

    /// <inheritdoc/>
    public IoResult Ioctl(IommufdContext context, uint command, UserArgument argument)
    {
        if (command != Command)
        {
            return Errno.ENOTTY;
        }

        Errno error = argument.Read(0, out uint size);
        TestCommand operation = default;
        error = error != Errno.None ? error : argument.ReadVersioned(size, MinimumSize, out operation);
        if (error != Errno.None)
        {
            return error;
        }

        if (operation.Operation == TestOperation.DmaBufGet)
        {
            return CreateBuffer(operation.Buffer.Length, argument);
        }

        Handler? handler = Find(operation.Operation);
        return handler is null ? Errno.EOPNOTSUPP : handler(this, context, ref operation, argument);
    }

    private static Handler? Find(TestOperation operation) => operation switch
    {
        TestOperation.AddReserved => AddReserved,
        TestOperation.MockDomain or TestOperation.MockDomainFlags => AddDevice,
        TestOperation.CheckMap => CheckMap,
        TestOperation.CheckReferences => CheckReferences,
        TestOperation.CreateAccess => CreateAccess,
        TestOperation.DestroyAccessPages => DropPages,
        TestOperation.AccessPages => PinPages,
        TestOperation.AccessReadWrite => CopyByAccess,
        TestOperation.SetMemoryLimit => static (_, _, ref command, _) => command.MemoryLimit < 12 ? Errno.EINVAL : Errno.None,
        TestOperation.ReplaceDomain => ReplaceDomain,
        TestOperation.ReplaceAccessIoas => ReplaceAccessIoas,
        TestOperation.Dirty => MarkDirty,
        TestOperation.CheckIotlb => CheckIotlb,
        TestOperation.TriggerFault => TriggerFault,
        TestOperation.CheckCache => CheckCache,
        TestOperation.TriggerEvent => TriggerEvent,
        TestOperation.PasidAttach or TestOperation.PasidReplace => AttachPasid,
        TestOperation.PasidDetach => DetachPasid,
        TestOperation.PasidCheck => CheckPasid,
        TestOperation.DmaBufRevoke => RevokeBuffer,
        _ => null,
    };

    private static Errno AddReserved(IommufdTestCommands commands, IommufdContext context, ref TestCommand command, UserArgument argument)
    {
        if (command.Span.Length == 0)
        {
            return Errno.EINVAL;
        }

        if (!IovaRange.TryCreate(command.Span.Start, command.Span.Length, out IovaRange range))
        {
            return Errno.EOVERFLOW;
        }

        Errno error = context.TryGet(command.Id, out Ioas? ioas);
        if (error == Errno.None)
        {
            error = ioas!.Map.Reserve([range], owner: null);
            context.Put(ioas);
        }

        return error;
    }

    /// <summary>Each page behind the caller's addresses must be pinned so many times, by whichever context.</summary>
    private static Errno CheckReferences(IommufdTestCommands commands, IommufdContext context, ref TestCommand command, UserArgument argument)
    {
        ReferenceArguments wanted = command.References;
        if (((wanted.Length | wanted.Address) & (PageSize - 1)) != 0 || argument.Memory is not { } memory)
        {
            return Errno.EINVAL;
        }

        using FrameFinder frames = new();
        Dictionary<MemoryFrame, int> pins = commands._pinned.Count(frames);
        for (ulong offset = 0; offset < wanted.Length; offset += PageSize)
        {
            Errno error = frames.TryFind(memory, wanted.Address + offset, out MemoryFrame frame);
            if (error != Errno.None)
            {
                return error;
            }

            if (pins.GetValueOrDefault(frame) != (int)wanted.References)
            {
                return Errno.EIO;
            }
        }

        return Errno.None;
    }

    /// <summary>Writes the structure back to the caller.</summary>
    private static Errno Reply(UserArgument argument, in TestCommand command) => argument.WriteVersioned(command.Size, in command);
}

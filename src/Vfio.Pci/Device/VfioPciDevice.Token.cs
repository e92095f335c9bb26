using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Pci;

/// <content>Names and tokens by which the device is opened (spec vfio-core §5.14).</content>
public abstract partial class VfioPciDevice
{
    private const string TokenOption = "vf_token=";
    private const int TokenLength = 36;

    /// <inheritdoc/>
    protected sealed override bool ChecksToken => true;

    /// <summary>
    /// A user's name for the device: its own, optionally followed by spaces and one <c>vf_token=UUID</c>. What else follows is EINVAL, and a
    /// wrong token is what <see cref="MatchToken"/> says.
    /// </summary>
    /// <inheritdoc/>
    /// <remarks><c>vfio_pci_core_match</c>.</remarks>
    protected sealed override IoResult Match(string name)
    {
        if (!name.StartsWith(Name, StringComparison.Ordinal) || (name.Length > Name.Length && name[Name.Length] != ' '))
        {
            return IoResult.Success();
        }

        Guid? token = null;
        ReadOnlySpan<char> rest = name.AsSpan(Name.Length).TrimStart(' ');
        while (!rest.IsEmpty)
        {
            if (token is not null || !rest.StartsWith(TokenOption, StringComparison.Ordinal))
            {
                return Errno.EINVAL;
            }

            rest = rest[TokenOption.Length..];
            if (rest.Length < TokenLength || !Guid.TryParseExact(rest[..TokenLength], "D", out Guid parsed))
            {
                return Errno.EINVAL;
            }

            token = parsed;
            rest = rest[TokenLength..].TrimStart(' ');
        }

        Errno error = MatchToken(token);
        return error == Errno.None ? IoResult.Success(1) : error;
    }

    /// <inheritdoc/>
    /// <remarks><c>vfio_pci_core_match_token_uuid</c>: what is asked depends on whether the device is a physical or a virtual function.</remarks>
    protected sealed override Errno MatchToken(Guid? token)
    {
        PciConfiguration configuration = Configuration;
        return configuration switch
        {
            { IsVirtualFunction: true, PhysicalFunction: { } physical } => physical.VirtualFunctions!.MatchVirtual(token),
            { Token: { } own } => own.MatchPhysical(token),
            _ => token is null ? Errno.None : Errno.EINVAL,
        };
    }

    /// <summary>The token of this physical function's users and its virtual functions'; null for other functions.</summary>
    private VirtualFunctionToken? VirtualFunctions => Configuration.Token;

    private IoResult TokenFeature(uint flags, UserArgument data, ulong size)
    {
        const int Length = 16;
        if (Configuration.Token is not { } token)
        {
            return Errno.ENOTTY;
        }

        if (!FeatureRequest.ShallExecute(flags, size, VfioUapi.VFIO_DEVICE_FEATURE_SET, Length, out IoResult done))
        {
            return done;
        }

        Span<byte> uuid = stackalloc byte[Length];
        Errno error = data.Read(0, uuid);
        if (error == Errno.None)
        {
            token.Set(new Guid(uuid, bigEndian: true));
        }

        return error;
    }
}
